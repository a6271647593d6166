"""A whole small CA in a folder: real SoftHSM token, real signer process, real ceremony, real database."""

import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca import config as configuration
from ca.authority import Authority, open_authority
from ca.clock import system_clock
from ca.errors import HSMUnavailable
from ca.keys.client import SignerClient
from ca.names import parse_any
from ca.records import Actor, IssueRequest
from ca.store import Store
from cli.place import Place, Ports, default_module

REPOSITORY = Path(__file__).parents[3]
OPERATOR = Actor("operator", "alice")


class LiveClock:
    """The wall clock, moved ahead by as many seconds as a test wants; the signer of the same file travels along."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def ahead(self) -> int:
        try:
            return int(self._file.read_text())
        except FileNotFoundError:
            return 0

    @ahead.setter
    def ahead(self, seconds: int) -> None:
        draft = self._file.with_suffix(".new")
        draft.write_text(str(seconds))
        draft.replace(self._file)

    def __call__(self) -> int:
        return system_clock() + self.ahead


@dataclass
class World:
    """The CA of one test module; `authority` is open, the signer runs until `kill_signer`."""

    place: Place
    signer: subprocess.Popen[bytes] | None = None
    clock: LiveClock = field(init=False)

    def __post_init__(self) -> None:
        self.clock = LiveClock(self.place.path.resolve() / "clock")

    def use(self, database: str) -> None:
        """Sets the URL of the database, for all processes of this CA."""
        text = self.place.configuration.read_text()
        changed = re.sub(r'^url = "sqlite:.*"$', f'url = "{database}"', text, flags=re.MULTILINE)
        assert changed != text
        self.place.configuration.write_text(changed)

    def open(self) -> Authority:
        return open_authority(configuration.load(self.place.configuration), self.clock)

    def start_signer(self) -> None:
        with self.place.log.open("ab") as log:
            command = [sys.executable, "-m", "tests.ca.authority.travelling", str(self.place.configuration)]
            self.signer = subprocess.Popen(command, cwd=REPOSITORY, stdout=log, stderr=log)
        config = configuration.load(self.place.configuration)
        client = SignerClient(config.path(config.signer.socket), timeout=5)
        end = time.monotonic() + 60  # of a busy machine
        while not _signs(client):
            assert time.monotonic() < end, self.place.log.read_text()
            time.sleep(0.05)

    def kill_signer(self) -> None:
        if self.signer is not None:
            self.signer.kill()
            self.signer.wait(10)
            self.signer = None

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A certwright command over this CA."""
        command = [sys.executable, "-m", "cli.main", *words, "--config", str(self.place.configuration)]
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)


@contextmanager
def small_ca(folder: Path, database: str = "") -> Iterator[World]:
    """A new CA in that folder, its signer running, over that database or SQLite.

    Skips the test where there is no SoftHSM.
    """
    if not any(map(os.environ.get, ("CERTWRIGHT_PKCS11_MODULE", "CERTWRIGHT_HSM__MODULE"))):
        softhsm = Path("/usr/lib/softhsm/libsofthsm2.so")
        if not softhsm.exists():
            pytest.skip("SoftHSM is not installed")
        os.environ["CERTWRIGHT_PKCS11_MODULE"] = str(softhsm)
    place = Place(folder)
    made = World(place)
    place.claim()
    place.prepare(Ports(), default_module())
    if database:
        made.use(database)
    init = made.run("ca", "init", "--root-dir", str(place.root_token), "--yes")
    assert init.returncode == 0, init.stderr
    try:
        made.start_signer()
        yield made
    finally:
        made.kill_signer()


@contextmanager
def owning(authority: Authority) -> Iterator[Store]:
    """The records as whoever owns the database can change them; the authority's own role on PostgreSQL cannot."""
    opened = Store.open(authority.config.database_url().replace("//writer@", "//certwright@"))
    try:
        yield opened
    finally:
        opened.close()


def _signs(client: SignerClient) -> bool:
    try:
        return client.health().ok
    except HSMUnavailable:
        return False


def a_request(*names: str, profile: str = "server", **more: object) -> IssueRequest:
    """A request for a fresh P-256 key; a random name when none is given."""
    key = ec.generate_private_key(ec.SECP256R1())
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    wanted = names or (f"{secrets.token_hex(8)}.test",)
    request = IssueRequest(spki, tuple(parse_any(name) for name in wanted), profile, OPERATOR)
    return replace(request, **more)
