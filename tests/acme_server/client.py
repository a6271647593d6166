"""An ACME client for tests. It can be honest, and it can lie in every member of every request."""

import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from acme_server import jwk
from tests.acme_server import signing

ORIGIN = "https://localhost:8443"
TYPE = "application/jose+json"
ERROR = "urn:ietf:params:acme:error:"


def a_name() -> str:
    return f"{secrets.token_hex(6)}.localhost"


def csr(*names: str, key: Any = None, common_name: str = "") -> bytes:
    """A CSR in DER for DNS names, with a fresh P-256 key unless one is given."""
    subject = [x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)] if common_name else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False)
    return builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.DER)


@dataclass
class Client:
    """`key` is the account's; `kid` its URL once it is registered; `shown` what the web server shows."""

    http: FlaskClient
    shown: dict[str, str]
    key: signing.PrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    kid: str = ""
    directory: dict[str, Any] = field(default_factory=dict)

    def url(self, name: str) -> str:
        if not self.directory:
            self.directory = self.http.get("/acme/directory").json
        return str(self.directory[name])

    def nonce(self) -> str:
        return str(self.http.head("/acme/new-nonce").headers["Replay-Nonce"])

    def sign(self, url: str, payload: Any, /, key: signing.PrivateKey | None = None, **lies: Any) -> bytes:
        """A JWS by `key` (with its jwk), else by the account; `lies` override the protected header."""
        signer = key or self.key
        who = {"jwk": signing.jwk(signer)} if key or not self.kid else {"kid": self.kid}
        head = {"alg": signing.algorithm(signer), "nonce": self.nonce(), "url": url, **who, **lies}
        return signing.sign(signer, {name: value for name, value in head.items() if value is not ...}, payload)

    def post(self, url: str, payload: Any = b"", /, **lies: Any) -> TestResponse:
        """POST (as GET, without a payload) to a resource of this server."""
        return self.send(url, self.sign(url, payload, **lies))

    def send(self, url: str, body: bytes, content_type: str = TYPE) -> TestResponse:
        return self.http.post(url.removeprefix(ORIGIN), data=body, content_type=content_type)

    def register(self, **payload: Any) -> TestResponse:
        answer = self.post(self.url("newAccount"), payload, key=self.key)
        self.kid = answer.headers.get("Location", "")
        return answer

    def order(self, *names: str, **more: Any) -> TestResponse:
        identifiers = [{"type": "dns", "value": name} for name in names]
        return self.post(self.url("newOrder"), {"identifiers": identifiers, **more})

    def authorizations(self, order: TestResponse) -> list[TestResponse]:
        return [self.post(url) for url in order.json["authorizations"]]

    def prove(self, order: TestResponse, *, honest: bool = True) -> None:
        """Shows each token and waits until every authorization has come to an end."""
        for authorization in self.authorizations(order):
            if authorization.json["status"] != "pending":
                continue
            challenge = next(one for one in authorization.json["challenges"] if one["type"] == "http-01")
            if honest:
                self.shown[challenge["token"]] = f"{challenge['token']}.{jwk.parse(signing.jwk(self.key)).thumbprint}"
            assert self.post(challenge["url"], {}).status_code == 200
        self.wait(order)

    def wait(self, order: TestResponse, seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while any(one.json["status"] == "pending" for one in self.authorizations(order)):
            assert time.monotonic() < end, [one.json for one in self.authorizations(order)]
            time.sleep(0.03)

    def ready(self, *names: str, **more: Any) -> TestResponse:
        """An order whose names are proved."""
        order = self.order(*(names or (a_name(),)), **more)
        assert order.status_code == 201, order.json
        self.prove(order)
        found = self.post(order.headers["Location"])
        assert found.json["status"] == "ready", found.json
        return found

    def finalize(self, order: TestResponse, request: bytes | None = None) -> TestResponse:
        names = [one["value"] for one in order.json["identifiers"]]
        return self.post(order.json["finalize"], {"csr": signing.b64(csr(*names) if request is None else request)})

    def obtain(self, *names: str, key: Any = None) -> x509.Certificate:
        """The whole way; answers the leaf."""
        order = self.ready(*names)
        wanted = [one["value"] for one in order.json["identifiers"]]
        done = self.finalize(order, csr(*wanted, key=key))
        assert done.json["status"] == "valid", done.json
        return self.chain(done)[0]

    def chain(self, order: TestResponse) -> list[x509.Certificate]:
        return x509.load_pem_x509_certificates(self.post(order.json["certificate"]).data)

    def revoke(self, certificate: x509.Certificate, key: Any = None, **payload: Any) -> TestResponse:
        wanted = {"certificate": signing.b64(certificate.public_bytes(Encoding.DER)), **payload}
        return self.post(self.url("revokeCert"), wanted, **({"key": key} if key else {}))


def refused(answer: TestResponse, kind: str, status: int) -> None:
    """Holds if the answer is that problem, in the form of RFC 8555, with a nonce to go on with."""
    assert (answer.json["type"], answer.status_code) == (ERROR + kind, status), answer.json
    assert answer.content_type == "application/problem+json"
    assert answer.json["status"] == status
    assert answer.json["detail"]
    assert answer.headers["Replay-Nonce"]
    assert f'<{ORIGIN}/acme/directory>;rel="index"' in answer.headers.getlist("Link")
