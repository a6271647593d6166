"""What lies inside the seal: frames of msgpack, compressed as one stream; the manifest is the last.

length (4 octets, big-endian) | one of File, Table, Rows, Manifest
"""

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from ca.errors import BadRequest

FORMAT = 1
LARGEST = 1 << 30
_LENGTH = struct.Struct(">I")

VALUES = (int, str, bytes, type(None))
"""What a cell of a row may be."""


class File(msgspec.Struct, frozen=True, tag="file"):
    """A file that belongs to it: the configuration, the signer's pins."""

    name: str
    content: bytes


class Table(msgspec.Struct, frozen=True, tag="table"):
    """From here on rows are of this table."""

    name: str
    columns: tuple[str, ...]


class Rows(msgspec.Struct, frozen=True, tag="rows"):
    """Some rows; each cell is one of VALUES."""

    rows: tuple[tuple[Any, ...], ...]


class Ledger(msgspec.Struct, frozen=True):
    """How far the signer's ledger was; none when it could not be read."""

    entries: int
    head: str


class Manifest(msgspec.Struct, frozen=True, tag="manifest"):
    """What the backup says of itself. `frames` is the SHA-256 (hex) over all frames before this one.

    `crls` are the numbers by publication path. Times are epoch seconds.
    """

    format: int
    made_at: int
    schema: tuple[str, ...]
    config: str
    rows: dict[str, int]
    journal: int
    head: str
    certificates: int
    crls: dict[str, int]
    ledger: Ledger | None
    frames: str


Frame = File | Table | Rows | Manifest
_frames: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)


def packed(frames: Iterable[Frame], last: Callable[[str], Manifest]) -> Iterator[bytes]:
    """The octets of an archive; `last` makes the manifest from the digest of all frames before it."""
    squeeze, digest = zlib.compressobj(6), hashlib.sha256()
    for frame in frames:
        octets = _octets(frame)
        digest.update(octets)
        yield squeeze.compress(octets)
    yield squeeze.compress(_octets(last(digest.hexdigest())))
    yield squeeze.flush()


def _octets(frame: Frame) -> bytes:
    body = msgspec.msgpack.encode(frame)
    return _LENGTH.pack(len(body)) + body


class Unpacking:
    """Takes the octets of an archive and hands over its frames. `manifest` is there when all was well at the end."""

    def __init__(self, take: Callable[[Frame], None]) -> None:
        self._take = take
        self._expand = zlib.decompressobj()
        self._digest = hashlib.sha256()
        self._buffer = bytearray()
        self._manifest: Manifest | None = None

    def feed(self, octets: bytes) -> None:
        """Raises `BadRequest` for what is no archive."""
        try:
            self._buffer += self._expand.decompress(octets)
        except zlib.error as error:
            raise _damaged(str(error)) from None
        while len(self._buffer) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._buffer)
            if size > LARGEST:
                raise _damaged("a frame is too large")
            if len(self._buffer) < _LENGTH.size + size:
                return
            self._frame(bytes(self._buffer[: _LENGTH.size + size]))
            del self._buffer[: _LENGTH.size + size]

    def _frame(self, octets: bytes) -> None:
        if self._manifest is not None:
            raise _damaged("something follows its end")
        try:
            frame = _frames.decode(octets[_LENGTH.size :])
        except msgspec.DecodeError as error:
            raise _damaged(str(error)) from None
        if isinstance(frame, Manifest):
            self._manifest = frame
        else:
            self._digest.update(octets)
            self._take(frame)

    def end(self) -> Manifest:
        """The manifest. Raises `BadRequest` when it is missing or tells of other frames."""
        if self._manifest is None or self._buffer:
            raise _damaged("it has no end")
        if self._manifest.format != FORMAT:
            raise BadRequest(
                f"The backup has format {self._manifest.format}.", next_step="Use the release that made it."
            )
        if self._manifest.frames != self._digest.hexdigest():
            raise _damaged("its manifest tells of other content")
        return self._manifest


def _damaged(why: str) -> BadRequest:
    return BadRequest(f"The backup is damaged: {why}.", next_step="Try another copy of it.")
