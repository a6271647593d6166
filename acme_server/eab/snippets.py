"""Ready lines for clients that register with a credential: filled in, to be pasted."""

import base64
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bound:
    """What every client needs: the directory, the credential, and this CA's roots, in PEM and as a file."""

    directory: str
    key_id: str
    hmac_key: str
    roots: bytes
    root: str = "root.pem"


def snippets(bound: Bound) -> dict[str, str]:
    """The snippet of each client by its name."""
    return {name: make(bound) for name, make in _CLIENTS.items()}


def _certbot(one: Bound) -> str:
    return f"""\
REQUESTS_CA_BUNDLE={one.root} certbot register -n --agree-tos --register-unsafely-without-email \\
  --server {one.directory} \\
  --eab-kid {one.key_id} --eab-hmac-key {one.hmac_key}"""


def _lego(one: Bound) -> str:
    return f"""\
LEGO_CA_CERTIFICATES={one.root} lego --accept-tos --email admin@example.org --server {one.directory} \\
  --eab --kid {one.key_id} --hmac {one.hmac_key} \\
  --http --domains www.example.org run"""


def _caddy(one: Bound) -> str:
    return f"""\
{{
	acme_ca {one.directory}
	acme_ca_root {one.root}
	acme_eab {{
		key_id {one.key_id}
		mac_key {one.hmac_key}
	}}
}}"""


def _traefik(one: Bound) -> str:
    return f"""\
certificatesResolvers:
  certwright:
    acme:
      caServer: {one.directory}
      caCertificates: [{one.root}]
      storage: acme.json
      eab:
        kid: {one.key_id}
        hmacEncoded: {one.hmac_key}
      httpChallenge:
        entryPoint: web"""


def _cert_manager(one: Bound) -> str:
    secret = base64.b64encode(one.hmac_key.encode()).decode()
    return f"""\
apiVersion: v1
kind: Secret
metadata:
  name: certwright-eab
  namespace: cert-manager
data:
  secret: {secret}
---
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata:
  name: certwright
spec:
  acme:
    server: {one.directory}
    caBundle: {base64.b64encode(one.roots).decode()}
    externalAccountBinding:
      keyID: {one.key_id}
      keySecretRef:
        name: certwright-eab
        key: secret
    privateKeySecretRef:
      name: certwright-account
    solvers:
      - http01:
          ingress:
            ingressClassName: nginx"""


def _acme_sh(one: Bound) -> str:
    return f"""\
acme.sh --register-account --server {one.directory} --ca-bundle {one.root} \\
  --eab-kid {one.key_id} --eab-hmac-key {one.hmac_key}"""


_CLIENTS = {
    "certbot": _certbot,
    "lego": _lego,
    "Caddy": _caddy,
    "Traefik": _traefik,
    "cert-manager": _cert_manager,
    "acme.sh": _acme_sh,
}
