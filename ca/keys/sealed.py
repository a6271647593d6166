"""Lint before sign, as a type: record what a builder would sign, lint it, then sign exactly that, once.

recorder = recording(issuer_public_key)
builder.sign(recorder, hash)                       # a dummy signature; recorder.tbs holds the bytes
lint(recorder.tbs, ...)
certificate = builder.sign(seal(private_key, recorder.tbs), hash)
"""

from threading import Lock
from typing import cast

from ca.errors import SealBroken
from ca.keys.algorithms import PrivateKey, PublicKey
from ca.keys.handles import KeyHandle

# The builders put the signature into a BIT STRING without looking at it.
_DUMMY_SIGNATURE = b"\x00"


class RecordingKey(KeyHandle):
    """Keeps the bytes that a builder hands over in `tbs`; its signatures are worthless."""

    def __init__(self, public_key: PublicKey) -> None:
        super().__init__(public_key, self._record)
        self.tbs = b""

    def _record(self, tbs: bytes) -> bytes:
        self.tbs = tbs
        return _DUMMY_SIGNATURE


class SealedKey(KeyHandle):
    """Signs `expected` and nothing else, once. Any other use raises `SealBroken` and spends the seal."""

    def __new__(cls, private_key: PrivateKey, expected: bytes) -> "SealedKey":
        return super().__new__(cls, private_key.public_key())

    def __init__(self, private_key: PrivateKey, expected: bytes) -> None:
        super().__init__(private_key.public_key(), self._sign_expected)
        self._private_key = private_key
        self._expected = expected
        self._how: tuple[object, ...] = ()
        self._unspent = Lock()

    def sign(self, data: bytes, *how: object, **named: object) -> bytes:
        """Signs `data` when it is the expected bytes and this is the first call, from whichever thread."""
        if not self._unspent.acquire(blocking=False):
            raise SealBroken("A sealed key was used a second time.", next_step="Prepare and lint anew.")
        self._how = (*how, *named.values())
        return super().sign(data, *self._how)

    def _sign_expected(self, tbs: bytes) -> bytes:
        if tbs != self._expected:
            raise SealBroken("A sealed key was asked to sign other bytes than those that were linted.")
        return self._private_key.sign(tbs, *self._how)  # type: ignore[arg-type]


def recording(public_key: PublicKey) -> RecordingKey:
    """A `RecordingKey` of the kind that fits the public key."""
    return RecordingKey(public_key)


def seal(private_key: PrivateKey, expected: bytes) -> PrivateKey:
    """A `SealedKey` over `private_key` for the library's builders."""
    return cast(PrivateKey, SealedKey(private_key, expected))
