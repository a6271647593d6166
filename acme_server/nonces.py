"""Nonces that cost no row (RFC 8555 §6.5).

A nonce is its number and the time of its making, sealed with a key that all workers of this node share and that
dies with the machine's boot. It is good once, for `acme.nonce_life` seconds, and only while it is among the last
`KEPT` of this node. Which of those are used says a ring of bits in a file that the workers map: a crash of
processes loses nothing of it, and a crash of the machine voids the key along with the ring, so a nonce is never
good twice. A nonce of another node, of an earlier boot or of anybody's invention gets `BadNonce`, and the client
comes again with a fresh one.
"""

import fcntl
import mmap
import os
import secrets
import struct
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
from ca.errors import ConfigError

KEPT = 1 << 22
"""Nonces of a node that may be out at a time: a quarter of an hour of newNonce at full speed."""

_SALT = 12
_SKEW = 60  # a clock may be set back a little
_SEALED = struct.Struct(">QQ")  # number, time
_KEY, _NEXT = 32, struct.Struct(">Q")
_RING = _KEY + _NEXT.size  # where the bits begin
_SIZE = _RING + KEPT // 8


class Nonces:
    """The nonces of one node; safe between threads, and between the processes that open the same folder."""

    def __init__(self, folder: Path, life: int, clock: Clock, boot: str = "") -> None:
        """Opens the ring of this boot and forgets earlier boots. Raises `ConfigError` if the folder cannot be used."""
        self._life = life
        self._clock = clock
        self._lock = threading.Lock()
        self._file = _open(folder, sha256((boot or boot_id()).encode()).hexdigest()[:16])
        self._map = mmap.mmap(self._file, _SIZE)
        self._seal = AESGCM(self._map[:_KEY])

    def make(self) -> str:
        """A fresh nonce: base64url, unguessable."""
        with self._alone():
            number = self._next()
            # In this order: who dies in between has lost a number, and not the mark of one that was used before it.
            _NEXT.pack_into(self._map, _KEY, number + 1)
            self._mark(number, used=False)
        salt = os.urandom(_SALT)
        return encode(salt + self._seal.encrypt(salt, _SEALED.pack(number, self._clock()), None))

    def redeem(self, nonce: str) -> None:
        """Uses a nonce up; of two at once, in any process, one succeeds. Raises `BadNonce`."""
        number, made = self._opened(decode(nonce, "The nonce"))
        if not -_SKEW <= self._clock() - made <= self._life:
            raise _bad("expired")
        with self._alone():
            if self._next() - number > KEPT:
                raise _bad("one of too many")
            if self._is_used(number):
                raise _bad("used already")
            self._mark(number, used=True)

    def close(self) -> None:
        """Closes the file; the ring stays for the other processes."""
        self._map.close()
        os.close(self._file)

    def _opened(self, raw: bytes) -> tuple[int, int]:
        try:
            number, made = _SEALED.unpack(self._seal.decrypt(raw[:_SALT], raw[_SALT:], None))
        except (InvalidTag, ValueError, struct.error):
            raise _bad("not from here, or from before a restart") from None
        return number, made

    # --- the ring: only while alone -------------------------------------------------------------

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Alone among threads and processes. The kernel lets go of the lock when its holder dies."""
        with self._lock:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def _next(self) -> int:
        return int(_NEXT.unpack_from(self._map, _KEY)[0])

    def _is_used(self, number: int) -> bool:
        place, bit = _place(number)
        return bool(self._map[place] & bit)

    def _mark(self, number: int, *, used: bool) -> None:
        place, bit = _place(number)
        self._map[place] = self._map[place] | bit if used else self._map[place] & ~bit


def _place(number: int) -> tuple[int, int]:
    """Octet in the file, and bit in it."""
    return _RING + number % KEPT // 8, 1 << number % 8


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


def _open(folder: Path, epoch: str) -> int:
    """The file of this boot, readable by its owner alone; those of earlier boots are removed."""
    path = folder / f"{epoch}.ring"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / "opening").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for old in folder.glob("*.*"):
                if old != path:
                    old.unlink()
            if not path.exists():
                _make(path)
            return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(
            f"The nonces' folder {folder} cannot be used: {error.strerror}.", next_step="Check acme.nonce_dir."
        ) from None


def _make(path: Path) -> None:
    """A new ring, whole before it has its name. Every block is written: the map never meets a full disk."""
    beside = path.with_suffix(".new")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(secrets.token_bytes(_KEY) + bytes(_SIZE - _KEY))
    beside.replace(path)
