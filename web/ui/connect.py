"""Connect a client: snippets with this CA's own addresses, for the clients that people use."""

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from flask import Blueprint, Response

from ca.authority import Authority
from web.ui.door import seat
from web.ui.pages import page


@dataclass(frozen=True, slots=True)
class Place:
    """Where this CA is, as clients are told."""

    directory: str
    roots: str
    fingerprint: str


SNIPPETS: Mapping[str, str] = {
    "Trust the root": """\
curl -o root.pem {roots}
openssl x509 -in root.pem -noout -fingerprint -sha256
# compare with: {fingerprint}""",
    "certbot": """\
REQUESTS_CA_BUNDLE=root.pem certbot certonly --standalone \\
  --server {directory} -d host.example""",
    "lego": """\
LEGO_CA_CERTIFICATES=root.pem lego --server {directory} \\
  --email you@host.example --domains host.example --http run""",
    "acme.sh": """\
acme.sh --issue --standalone -d host.example \\
  --server {directory} --ca-bundle root.pem""",
    "Caddy": """\
{{
    acme_ca {directory}
    acme_ca_root root.pem
}}
host.example {{
    respond "hello"
}}""",
    "Traefik": """\
certificatesResolvers:
  internal:
    acme:
      caServer: {directory}
      caCertificates: [root.pem]
      storage: acme.json
      httpChallenge: {{ entryPoint: web }}""",
    "cert-manager": """\
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {{ name: certwright }}
spec:
  acme:
    server: {directory}
    caBundle: <root.pem in base64>
    privateKeySecretRef: {{ name: certwright-account }}
    solvers: [{{ http01: {{ ingress: {{ ingressClassName: nginx }} }} }}]""",
    "nginx (ngx_http_acme_module)": """\
acme_issuer internal {{
    uri {directory};
    ssl_trusted_certificate root.pem;
    accept_terms_of_service;
}}
server {{
    listen 443 ssl;
    server_name host.example;
    acme_certificate internal;
    ssl_certificate $acme_certificate;
    ssl_certificate_key $acme_certificate_key;
}}""",
    "HAProxy 3.2": """\
acme internal
    directory {directory}
    challenge HTTP-01
crt-store hosts
    load crt host.pem acme internal domains host.example""",
}


def mount(blueprint: Blueprint, authority: Authority) -> None:
    """The one page."""

    @blueprint.get("/connect")
    def connect() -> Response:
        place = place_of(authority, seat().root_certificate())
        return page("connect.html", place=place, snippets=filled(place))


def place_of(authority: Authority, root: bytes) -> Place:
    """The addresses of this CA and its root's fingerprint."""
    server = authority.config.server
    print_ = x509.load_der_x509_certificate(root).fingerprint(SHA256()).hex(":").upper()
    return Place(f"{server.public_url}/acme/directory", f"{server.status_url}/roots.pem", print_)


def filled(place: Place) -> dict[str, str]:
    """Each snippet with the place in it."""
    values = {"directory": place.directory, "roots": place.roots, "fingerprint": place.fingerprint}
    return {name: text.format(**values) for name, text in SNIPPETS.items()}
