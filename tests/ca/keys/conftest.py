"""Real SoftHSM tokens and real signer processes, each in a folder of its own."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ca.clock import at, system_clock
from ca.errors import HSMUnavailable
from ca.keys.algorithms import ALGORITHMS, load_spki
from ca.keys.client import SignerClient
from ca.keys.softhsm import private_store
from ca.keys.token import Token, TokenKey, provision_softhsm
from ca.records import Key, KeyPurpose

PIN = "123456"
LABEL = "certwright"
PLACES = (
    os.environ.get("CERTWRIGHT_PKCS11_MODULE", ""),
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
ROOT = Path(__file__).parents[3]
PROVISION = """
import sys
from pathlib import Path
from ca.keys.softhsm import provision_softhsm
provision_softhsm(Path(sys.argv[1]), *sys.argv[2:])
"""


@pytest.fixture(scope="session")
def module() -> str:
    for place in PLACES:
        if place and Path(place).exists():
            return place
    pytest.skip("SoftHSM is not installed")


# --- a token in this process --------------------------------------------------------------------


@pytest.fixture(scope="session")
def hsm(module: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a token store for this process: it can have only one."""
    return provision_softhsm(tmp_path_factory.mktemp("hsm"), LABEL, PIN, module, so_pin="officer1")


@pytest.fixture(scope="session")
def token(module: str, hsm: dict[str, str]) -> Iterator[Token]:
    opened = Token.open(module, LABEL, PIN, environment=hsm, sessions=10)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def keys(token: Token) -> dict[str, TokenKey]:
    """One key of each algorithm, made once: RSA takes seconds."""
    return {name: token.generate(f"key-{name}", secrets.token_bytes(16), name) for name in ALGORITHMS}


# --- a signer process ---------------------------------------------------------------------------


@pytest.fixture(scope="session")
def fresh_tokens(module: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a new token, made in another process, to be copied for each signer."""
    folder = tmp_path_factory.mktemp("fresh")
    command = [sys.executable, "-c", PROVISION, str(folder), LABEL, PIN, module]
    subprocess.run(command, cwd=ROOT, check=True, timeout=30)
    return folder / "tokens"


@dataclass
class Signer:
    """A signer in a folder: its configuration, its token, its process."""

    folder: Path
    module: str
    settings: dict[str, str] = field(default_factory=dict)
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

    def start(self, *, ready: bool = True) -> SignerClient:
        """Starts the process and waits until it listens, and (`ready`) until it can sign."""
        command = [sys.executable, "-m", "ca.keys.signer", "--config", str(self.folder / "certwright.toml")]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stderr=log, stdout=log)
        client = self.client()
        wait_until(lambda: self._answers(client, ready))
        return client

    def _answers(self, client: SignerClient, ready: bool) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        try:
            health = client.health()
        except HSMUnavailable:
            return False
        return health.ok or (not ready and "being opened" not in health.detail and "not open yet" not in health.detail)

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


@pytest.fixture
def new_signer(module: str, fresh_tokens: Path, tmp_path: Path) -> Iterator[Signer]:
    """A signer that is configured, with an empty token, and not started."""
    signer = make_signer(tmp_path / "signer", module, fresh_tokens)
    yield signer
    if signer.process and signer.process.poll() is None:
        signer.stop(signal.SIGKILL)


@pytest.fixture(scope="session")
def signer(module: str, fresh_tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    """A running signer with a certified issuing key, shared by the tests that do it no harm."""
    shared = make_signer(tmp_path_factory.mktemp("shared") / "signer", module, fresh_tokens)
    shared.start()
    certify(shared.client(), "issuing-g1")
    yield shared
    shared.stop()


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
