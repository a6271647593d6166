"""Signers in folders of their own, and what a ceremony does for them."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ca.clock import at, system_clock
from ca.errors import CAError, HSMUnavailable
from ca.keys.algorithms import load_spki, signature_hash
from ca.keys.client import SignerClient, private_key
from ca.keys.softhsm import private_store
from ca.records import Key, KeyPurpose, Responder, SignKind

PIN = "123456"
LABEL = "certwright"
ROOT = Path(__file__).parents[3]


@dataclass
class Signer:
    """A signer in a folder: its configuration, its token, its process."""

    folder: Path
    module: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.folder / "state" / "signer.sock"

    @property
    def tokens(self) -> Path:
        return self.folder / "hsm" / "tokens"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def client(self, timeout: float = 10.0) -> SignerClient:
        return SignerClient(self.socket, timeout=timeout)

    def pin(self, pin: str) -> None:
        path = self.folder / "secrets" / "pin"
        path.parent.mkdir(exist_ok=True)
        path.write_text(pin)
        path.chmod(0o600)

    def configure(self, **hsm: str) -> None:
        environment = private_store(self.folder / "hsm")
        values = {"module": self.module, "token_label": LABEL, **hsm}
        lines = ['mode = "demo"', "[hsm]", *(f'{name} = "{value}"' for name, value in values.items())]
        lines.append(f'environment = {{ SOFTHSM2_CONF = "{environment["SOFTHSM2_CONF"]}" }}')
        (self.folder / "certwright.toml").write_text("\n".join(lines) + "\n")

    def start(self, *, ready: bool | None = True) -> SignerClient:
        """Starts the process and waits until it listens and has opened the token or knows why not (False), or can sign.

        None: it is enough that it listens.
        """
        command = [sys.executable, "-m", "ca.keys.signer", "--config", str(self.folder / "certwright.toml")]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stderr=log, stdout=log)
        client = self.client()
        wait_until(lambda: self._answers(client, ready))
        return client

    def _answers(self, client: SignerClient, ready: bool | None) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        try:
            health = client.health()
        except HSMUnavailable:
            return False
        return (
            health.ok
            or ready is None
            or (not ready and "being opened" not in health.detail and "not open yet" not in health.detail)
        )

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(20)


def wait_until(condition: Callable[[], bool], seconds: float = 15.0) -> float:
    """Waits for the condition; answers how long it took, in seconds."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, "it did not happen in time"
        time.sleep(0.02)
    return time.monotonic() - start


def make_signer(folder: Path, module: str, tokens: Path) -> Signer:
    signer = Signer(folder, module)
    folder.mkdir()
    signer.configure()
    shutil.copytree(tokens, signer.tokens, dirs_exist_ok=True)
    signer.pin(PIN)
    return signer


# --- what a ceremony does -----------------------------------------------------------------------

ROOT_KEY = ec.generate_private_key(ec.SECP256R1())
ROOT_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Root")])


def issuer_certificate(spki: bytes, name: str, *, days: int = 90, ca: bool = True, begun: int = 7200) -> bytes:
    """The DER certificate of an issuing key, by a root in memory; it began `begun` seconds ago."""
    public_key = load_spki(spki)
    now = at(system_clock())
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(ROOT_NAME)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(seconds=begun))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca, 0 if ca else None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )
    return builder.sign(ROOT_KEY, SHA256()).public_bytes(Encoding.DER)


def certify(client: SignerClient, key_id: str, algorithm: str = "ec-p256", **how: int) -> Key:
    """Generates an issuing key and certifies it; answers it as the signer knows it then."""
    key = client.generate(key_id, KeyPurpose.ISSUING, algorithm)
    client.certify(key_id, issuer_certificate(key.spki, f"Test {key_id}", **how))
    return client.key(key_id)


def leaf(client: SignerClient, issuer: Key, certificate: x509.Certificate, serial: int = 0) -> x509.Certificate:
    """A leaf certificate by the library's builder and a key in the signer."""
    now = at(system_clock())
    own = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    key = private_key(client, issuer, SignKind.CERTIFICATE)
    subject_key = ec.generate_private_key(ec.SECP256R1()).public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(certificate.subject)
        .public_key(subject_key)
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("a.test")]), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), critical=False)
    )
    return builder.sign(key, signature_hash(key.public_key()))


def crl_of(key: Key, certificate: x509.Certificate, entries: int = 0) -> x509.CertificateRevocationListBuilder:
    now = at(system_clock())
    own = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    revoked = [x509.RevokedCertificateBuilder(number + 1, now).build() for number in range(entries)]
    builder = x509.CertificateRevocationListBuilder(certificate.subject, now, now + timedelta(days=7), [], revoked)
    return builder.add_extension(x509.CRLNumber(1), critical=False).add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), critical=False
    )


def issuer_of(client: SignerClient, key_id: str, algorithm: str = "ec-p256") -> tuple[Key, x509.Certificate]:
    """A new issuing key with its certificate."""
    key = client.generate(key_id, KeyPurpose.ISSUING, algorithm)
    der = issuer_certificate(key.spki, f"Test {key_id}")
    client.certify(key_id, der)
    return client.key(key_id), x509.load_der_x509_certificate(der)


def ocsp_answer(
    client: SignerClient, responder: Responder, issued: x509.Certificate, issuer: x509.Certificate, days: int = 1
) -> ocsp.OCSPResponse:
    """That the certificate is good, by the library's builder and the responder's key in the signer."""
    delegate = x509.load_der_x509_certificate(responder.certificate)
    key = private_key(client, client.key(responder.key_id), SignKind.OCSP)
    now = at(system_clock())
    end = now + timedelta(days=days)
    return (
        ocsp.OCSPResponseBuilder()
        .add_response(issued, issuer, SHA1(), ocsp.OCSPCertStatus.GOOD, now, end, None, None)
        .responder_id(ocsp.OCSPResponderEncoding.HASH, delegate)
        .certificates([delegate])
        .sign(key, signature_hash(key.public_key()))
    )


def answers(client: SignerClient) -> bool:
    try:
        return client.health().ok
    except CAError:
        return False
