"""Real SoftHSM tokens and real signer processes, each in a folder of its own."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ca.keys.algorithms import ALGORITHMS
from ca.keys.token import Token, TokenKey, provision_softhsm
from tests.ca.keys.world import LABEL, PIN, ROOT, Signer, certify, make_signer

PLACES = (
    os.environ.get("CERTWRIGHT_PKCS11_MODULE", ""),
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
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
