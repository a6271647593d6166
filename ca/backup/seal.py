"""Encryption of a stream in the age format (age-encryption.org/v1), for recipients whose secret is not here.

Each 64 KiB are authenticated and the end is marked, so that nothing can be changed, left out or cut off unnoticed.
"""

import io
from collections.abc import Callable, Iterable, Sequence
from typing import BinaryIO

import pyrage
from pyrage import x25519

from ca.errors import BadRequest

Take = Callable[[bytes], None]


def new_identity() -> tuple[str, str]:
    """A new secret (`AGE-SECRET-KEY-1…`) and its recipient (`age1…`)."""
    identity = x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def recipients_of(texts: Sequence[str]) -> list[x25519.Recipient]:
    """Parsed recipients. Raises `BadRequest` when there is none, or one that is none: nothing is written unsealed."""
    if not texts:
        raise BadRequest(
            "A backup is sealed for somebody: no recipient is named.",
            next_step="Make a key by 'certwright backup key', keep it elsewhere, and set backup.recipients.",
        )
    try:
        return [x25519.Recipient.from_str(text.strip()) for text in texts]
    except pyrage.RecipientError as error:
        raise BadRequest(f"This is no recipient: {error}.", next_step="Name public keys: age1….") from None


def identity_of(text: str) -> x25519.Identity:
    """The identity in a file as age and `certwright backup key` write it. Raises `BadRequest`; never shows it."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        return x25519.Identity.from_str(lines[0])
    except (IndexError, pyrage.IdentityError):
        raise BadRequest("The file holds no identity.", next_step="Name the file of 'certwright backup key'.") from None


def seal(chunks: Iterable[bytes], out: BinaryIO, recipients: Sequence[x25519.Recipient]) -> None:
    """Writes the chunks, sealed. Raises what making the chunks raises, and `OSError`."""
    source = _Source(chunks)
    try:
        pyrage.encrypt_io(source, out, recipients)
    except Exception:
        if source.failure:
            raise source.failure from None
        raise


def unseal(source: BinaryIO, identity: x25519.Identity, take: Take) -> None:
    """Hands over what was sealed, as it is read. Raises `BadRequest` for another's, a damaged or a cut one."""
    sink = _Sink(take)
    try:
        pyrage.decrypt_io(source, sink, [identity])
    except (pyrage.DecryptError, OSError) as error:
        if sink.failure:
            raise sink.failure from None
        raise BadRequest(
            f"The backup cannot be opened: {error}.",
            next_step="It is sealed for another key, or was damaged or cut off: try another copy of it.",
        ) from None


class _Source(io.RawIOBase):
    """Chunks as a file to be read. The library hides what they raise, so it is kept."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._left = b""
        self.failure: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        """At most so many octets; none at the end."""
        try:
            while not self._left:
                self._left = next(self._chunks)
        except StopIteration:
            return b""
        except Exception as error:
            self.failure = error
            raise
        given, self._left = (self._left, b"") if size < 0 else (self._left[:size], self._left[size:])
        return given


class _Sink(io.RawIOBase):
    """A file to be written whose content is handed over."""

    def __init__(self, take: Take) -> None:
        self._take = take
        self.failure: Exception | None = None

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Hands it over."""
        try:
            self._take(bytes(data))
        except Exception as error:
            self.failure = error
            raise
        return len(data)
