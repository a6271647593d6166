"""Nonces that cost no row until they are used (RFC 8555 §6.5).

A nonce is the time of its making, sealed with a key that all workers of this node share and that dies with
the machine's boot. It is good once, for `acme.nonce_life` seconds: its use is recorded in a file of this node
alone. That file is written without waiting for the disk. A crash of processes loses nothing of it, and a crash
of the machine voids the key along with the set, so a nonce is never good twice. A nonce of another node, of
an earlier boot or of anybody's invention gets `BadNonce`, and the client comes again with a fresh one.
"""

import fcntl
import os
import secrets
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from acme_server.errors import BadNonce
from acme_server.strict import decode, encode
from ca.clock import Clock
from ca.errors import ConfigError, StoreUnavailable

_SALT = 12
_TIME = 8
_SKEW = 60  # a clock may be set back a little
_FORGET_EVERY = 1024

# The set belongs to this module and to no table of the authority: hence these few statements here.
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS seal (id INTEGER PRIMARY KEY CHECK (id = 1), key BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS used (made INTEGER, salt BLOB, PRIMARY KEY (made, salt)) WITHOUT ROWID",
)
_KEEP_KEY = "INSERT INTO seal (id, key) VALUES (1, ?) ON CONFLICT DO NOTHING"
_USE = "INSERT INTO used (made, salt) VALUES (?, ?) ON CONFLICT DO NOTHING"
_FORGET = "DELETE FROM used WHERE made < ?"


class Nonces:
    """The nonces of one node; safe between threads, and between the processes that open the same folder."""

    def __init__(self, folder: Path, life: int, clock: Clock, boot: str = "") -> None:
        """Opens the set of this boot and forgets earlier boots. Raises `ConfigError` if the folder cannot be used."""
        self._life = life
        self._clock = clock
        self._lock = threading.Lock()
        self._uses = 0
        self._set = _open(folder, sha256((boot or boot_id()).encode()).hexdigest()[:16])
        with _translated():
            self._set.execute(_KEEP_KEY, (secrets.token_bytes(32),))
            self._seal = AESGCM(self._set.execute("SELECT key FROM seal").fetchone()[0])

    def make(self) -> str:
        """A fresh nonce: base64url, unguessable."""
        salt = os.urandom(_SALT)
        return encode(salt + self._seal.encrypt(salt, self._clock().to_bytes(_TIME), None))

    def redeem(self, nonce: str) -> None:
        """Uses a nonce up; of two at once, in any process, one succeeds. Raises `BadNonce` or `StoreUnavailable`."""
        raw = decode(nonce, "The nonce")
        salt, sealed = raw[:_SALT], raw[_SALT:]
        made = self._opened(salt, sealed)
        if not -_SKEW <= self._clock() - made <= self._life:
            raise _bad("expired")
        with self._lock, _translated():
            if self._set.execute(_USE, (made, salt)).rowcount != 1:
                raise _bad("used already")
            self._uses += 1
            if self._uses % _FORGET_EVERY == 0:
                self._set.execute(_FORGET, (self._clock() - self._life,))

    def close(self) -> None:
        """Closes the file; the set stays for the other processes."""
        self._set.close()

    def _opened(self, salt: bytes, sealed: bytes) -> int:
        try:
            return int.from_bytes(self._seal.decrypt(salt, sealed, None))
        except (InvalidTag, ValueError):
            raise _bad("not from here, or from before a restart") from None


def _bad(why: str) -> BadNonce:
    return BadNonce(f"The nonce is {why}.", next_step="Try again with the nonce of this answer.")


def boot_id() -> str:
    """What changes at each boot of the machine and at no other time. Raises `ConfigError` where nothing does."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        pass
    try:  # macOS
        command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        raise ConfigError("This machine does not tell when it was booted.", next_step="Mount /proc.") from None


def _open(folder: Path, epoch: str) -> sqlite3.Connection:
    """The file of this boot, readable by its owner alone; those of earlier boots are removed."""
    path = folder / f"{epoch}.sqlite"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / "opening").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for old in folder.glob("*.sqlite*"):
                if not old.name.startswith(epoch):
                    old.unlink()
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            return _connect(path)
    except OSError as error:
        raise ConfigError(
            f"The nonces' folder {folder} cannot be used: {error.strerror}.", next_step="Check acme.nonce_dir."
        ) from None


def _connect(path: Path) -> sqlite3.Connection:
    with _translated():
        database = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
        for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=OFF", *_SCHEMA):
            database.execute(statement)
    return database


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreUnavailable(
            f"The set of used nonces cannot be kept: {error}.", next_step="Look at the disk of acme.nonce_dir."
        ) from error
