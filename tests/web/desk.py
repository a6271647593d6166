"""What the tests of the doors ask for: CSRs, tokens and requests to the API."""

import secrets
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ca.authority import Authority
from ca.authority.tokens import TokenScope, create_token
from ca.records import Actor

OPERATOR = Actor("operator", "alice")
CERTIFICATES = "/api/v1/certificates"


def csr(*names: str, key: Any = None, extension: x509.ExtensionType | None = None) -> x509.CertificateSigningRequest:
    """A CSR for these DNS names, with a fresh P-256 key unless one is given."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False)
    if extension is not None:
        builder = builder.add_extension(extension, True)
    return builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())


def csr_with_common_name(name: str) -> x509.CertificateSigningRequest:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())


def pem(request: x509.CertificateSigningRequest) -> str:
    return request.public_bytes(Encoding.PEM).decode()


def der(request: x509.CertificateSigningRequest) -> bytes:
    return request.public_bytes(Encoding.DER)


def a_name() -> str:
    return f"{secrets.token_hex(6)}.api.test"


def make_token(authority: Authority, *patterns: str, profiles: tuple[str, ...] = ("server",), **more: Any) -> str:
    scope = TokenScope("tests", profiles, patterns or ("**.api.test",), **more)
    return create_token(authority, scope, OPERATOR)[1]


@dataclass
class Asker:
    """A client of the API with a token."""

    client: FlaskClient
    secret: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"}

    def post(self, path: str, body: object = None, **headers: str) -> TestResponse:
        return self.client.post(path, json=body or {}, headers={**self.headers, **_named(headers)})

    def post_raw(self, path: str, body: bytes, content_type: str, **headers: str) -> TestResponse:
        every = {**self.headers, **_named(headers)}
        return self.client.post(path, data=body, content_type=content_type, headers=every)

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.client.get(path, headers={**self.headers, **_named(headers)})

    def issue(self, *names: str, **headers: str) -> TestResponse:
        return self.post(CERTIFICATES, {"csr": pem(csr(*(names or (a_name(),))))}, **headers)


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def problem(answer: TestResponse, status: int, code: str = "") -> dict[str, Any]:
    """The problem document of an answer that has to be one."""
    assert answer.status_code == status, answer.data
    assert answer.content_type == "application/problem+json"
    assert "Traceback" not in answer.text
    body: dict[str, Any] = answer.get_json(force=True)
    assert body["status"] == status
    assert body["request_id"] == answer.headers["X-Request-Id"]
    if code:
        assert body["code"] == code
    return body
