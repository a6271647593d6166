"""A mail server and a web server as strangers run them, and a notice full of what must not be obeyed."""

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ca.clock import at, system_clock
from ca.records import Notice
from tests.ports import free_port
from tests.web_server import Site, web_server

PASSWORD = "correct-horse"


def a_notice(**more: Any) -> Notice:
    given = {
        "id": "msg_0123456789abcdef",
        "channel": "ops",
        "kind": "expiring",
        "owner": "pay team",
        "key": "expiring:pay team:1",
        "title": "2 certificates of pay team end soon",
        "lines": ("a.pay.test: ends soon", "b.pay.test: ends soon"),
        "link": "https://pki.test/ui/certificates",
        "created_at": system_clock(),
        "due_at": 1,
    }
    return Notice(**{**given, **more})  # type: ignore[arg-type]


HOSTILE = a_notice(
    title="Hello\r\nBcc: evil@evil.test\r\n\r\n<script>alert(1)</script>",
    lines=("[click](https://evil.test) <https://evil.test|here> <!channel>", "\u202egnp.exe\0 *bold* `x`", "x" * 5000),
)


@dataclass(frozen=True)
class Trusted:
    """A certificate for localhost, its key, and itself as the root to be trusted."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "site.pem"

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.root, self.folder / "site.key")
        return context


@pytest.fixture(scope="session")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Trusted:
    folder = tmp_path_factory.mktemp("trusted")
    key, now = ec.generate_private_key(ec.SECP256R1()), at(system_clock())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    (folder / "site.pem").write_bytes(made.public_bytes(Encoding.PEM))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "site.key").write_bytes(private)
    return Trusted(folder)


# --- mail ---------------------------------------------------------------------------------------


@dataclass
class Post:
    """A mail server: what it took, and the address that it refuses."""

    port: int
    taken: list[Envelope] = field(default_factory=list)
    refuses: str = ""
    signed_in: list[str] = field(default_factory=list)

    async def handle_RCPT(self, _server: SMTP, _session: Session, envelope: Envelope, to: str, _options: Any) -> str:
        if to == self.refuses:
            return "550 no\x1b[31msuch user"
        envelope.rcpt_tos.append(to)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        self.taken.append(envelope)
        return "250 OK"

    def authenticate(self, _server: Any, _session: Any, _envelope: Any, _how: str, data: Any) -> AuthResult:
        good = isinstance(data, LoginPassword) and data.password == PASSWORD.encode()
        if good:
            self.signed_in.append(data.login.decode())
        return AuthResult(success=good, handled=False)


@pytest.fixture
def post(trusted: Trusted) -> Iterator[Post]:
    """With STARTTLS, and nothing before it."""
    made = Post(free_port())
    controller = Controller(
        made,
        hostname="localhost",
        port=made.port,
        tls_context=trusted.context(),
        require_starttls=True,
        authenticator=made.authenticate,
    )
    controller.start()
    yield made
    controller.stop()


@pytest.fixture
def tls_post(trusted: Trusted) -> Iterator[Post]:
    """With TLS from the start."""
    made = Post(free_port())
    context = trusted.context()
    controller = Controller(made, hostname="localhost", port=made.port, ssl_context=context)
    client = ssl.create_default_context(cafile=str(trusted.root))

    def knock() -> None:
        with socket.create_connection(("localhost", made.port), 5) as plain:
            client.wrap_socket(plain, server_hostname="localhost").recv(100)

    controller._trigger_server = knock  # type: ignore[method-assign] # its own would not trust us
    controller.start()
    yield made
    controller.stop()


# --- the web ------------------------------------------------------------------------------------


@pytest.fixture
def site() -> Iterator[Site]:
    with web_server() as made:
        yield made
