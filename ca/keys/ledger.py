"""The signer's ledger, as it lies on disk: what was signed, in a chain of its own (docs/keys.md, "The ledger").

A folder of segments, each named after the counter of its first entry. A segment begins with `MAGIC` and the
chain's hash before it; then frames follow:

    length (4 octets, big-endian) | payload: msgpack array of entries | SHA-256(hash before | payload)

A frame is one commit. This module writes nothing: it is for those who read, verify and export, and needs no
more than the right to read the files. The signer may be writing meanwhile.
"""

import hashlib
import json
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import msgspec
from cryptography import x509

from ca.clock import rfc3339
from ca.errors import LedgerBroken
from ca.keys import der
from ca.records import SignKind

MAGIC = b"certwright ledger 1\n"
EMPTY = bytes(32)
"""The hash before the first entry."""

HEADER = len(MAGIC) + len(EMPTY)
LARGEST_FRAME = 8 << 20
SUFFIX = ".ledger"
RESPONDER = "responder"
"""The kind of an entry for a certificate that the signer made by itself."""

DELTA = "delta:"
"""How the scope of a delta CRL begins."""

CLOCK = "clock"
"""The kind of an entry that tells of no signature: an operator accepted the wall clock as it was."""

CERTIFICATES = (SignKind.CERTIFICATE.value, RESPONDER)
"""The kinds whose `mark` is a serial."""

_LENGTH = struct.Struct(">I")
_HASH = 32


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One signature, or (kind `ocsp`) a number of them.

    `kind` is that of `SignKind`, `responder` for the certificate that the signer made by itself, or `clock`. `peer` is
    the uid of who asked. `sha256` is over the TBS; over the digests of a batch's TBS for OCSP. `tbs` is the
    whole TBS of a certificate, and of a CRL unless it is large. `mark` is the serial of a certificate in hex,
    the scope of a CRL, the origin of a checkpoint; `number` a CRL's number, a checkpoint's size, the count of
    an OCSP batch, the latest time that was entered before a clock was accepted; `this_update` a CRL's, or the
    time of a batch's first answer.
    """

    counter: int
    time: int
    key: str
    kind: str
    peer: int
    sha256: bytes
    tbs: bytes = b""
    mark: str = ""
    number: int = 0
    this_update: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """A point between two frames: the segment (its first counter), the octet there, and what came before it."""

    segment: int
    offset: int
    counter: int
    time: int
    chain: bytes


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole frame: its entries, and the place behind it."""

    entries: tuple[Entry, ...]
    end: Place


@dataclass(frozen=True, slots=True)
class Report:
    """A whole ledger in numbers. `under_way` are octets at the end that belong to no whole frame yet."""

    entries: int
    segments: int
    head: str
    last_time: int
    under_way: int


_payload: msgspec.msgpack.Decoder[tuple[Entry, ...]] = msgspec.msgpack.Decoder(tuple[Entry, ...])
_encoder = msgspec.msgpack.Encoder()


def scope_of(crl: x509.CertificateRevocationList) -> str:
    """Which certificates a CRL is about: a digest of its issuing distribution point; empty for all of the issuer's.

    A delta is a scope of its own here: it shares its number with the complete CRL that is signed beside it.
    """
    kinds = {type(one.value): one.value for one in crl.extensions}
    point = kinds.get(x509.IssuingDistributionPoint)
    scope = scope_by(point) if isinstance(point, x509.IssuingDistributionPoint) else ""
    return f"{DELTA}{scope}" if x509.DeltaCRLIndicator in kinds else scope


def scope_by(point: x509.IssuingDistributionPoint) -> str:
    """The scope of complete CRLs with this issuing distribution point."""
    return hashlib.sha256(point.public_bytes()).hexdigest()[:32]


def certificate_of(tbs: bytes) -> x509.Certificate:
    """What was signed, with an empty signature: a structure that the library parses."""
    algorithm = list(der.children(tbs))[2]
    return x509.load_der_x509_certificate(der.tlv(der.SEQUENCE, tbs + algorithm + der.EMPTY_BIT_STRING))


def crl_of(tbs: bytes) -> x509.CertificateRevocationList:
    """The same of a CRL."""
    algorithm = list(der.children(tbs))[1]
    return x509.load_der_x509_crl(der.tlv(der.SEQUENCE, tbs + algorithm + der.EMPTY_BIT_STRING))


def segment_path(folder: Path, first: int) -> Path:
    """The file of the segment that begins with that counter."""
    return folder / f"{first:020d}{SUFFIX}"


def segments(folder: Path) -> tuple[int, ...]:
    """The first counters of the segments, in order. Raises `LedgerBroken` for a folder that cannot be read."""
    try:
        return tuple(sorted(int(one.stem) for one in folder.iterdir() if one.suffix == SUFFIX))
    except (OSError, ValueError) as error:
        raise broken(f"The ledger in {folder} cannot be read: {error}.") from error


def seal(entries: tuple[Entry, ...], chain: bytes) -> tuple[bytes, bytes]:
    """A frame's octets, and the chain's hash behind it."""
    payload = _encoder.encode(entries)
    after = hashlib.sha256(chain + payload).digest()
    return _LENGTH.pack(len(payload)) + payload + after, after


def start_of(folder: Path, first: int) -> Place:
    """The place before a segment's first frame. Raises `LedgerBroken` when the segment has no proper header."""
    path = segment_path(folder, first)
    try:
        with path.open("rb") as file:
            header = file.read(HEADER)
    except OSError as error:
        raise broken(f"{path} cannot be read: {error.strerror}.") from error
    if len(header) < HEADER or not header.startswith(MAGIC):
        raise broken(f"{path} does not begin as a segment of the ledger does.")
    return Place(first, HEADER, first - 1, 0, header[len(MAGIC) :])


def frames(folder: Path, place: Place) -> Iterator[Frame]:
    """The whole frames from `place` to the end of its segment. What comes behind the last is for `rest`."""
    with segment_path(folder, place.segment).open("rb") as file:
        file.seek(place.offset)
        while frame := _frame(file, place):
            yield frame
            place = frame.end


def _frame(file: BinaryIO, place: Place) -> Frame | None:
    """The frame at the place; None where there is no whole and true one."""
    head = file.read(_LENGTH.size)
    size = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
    if not 0 < size <= LARGEST_FRAME:
        return None
    payload, chain = file.read(size), file.read(_HASH)
    if hashlib.sha256(place.chain + payload).digest() != chain:
        return None
    try:
        entries = _payload.decode(payload)
    except msgspec.DecodeError:
        return None
    counters = range(place.counter + 1, place.counter + 1 + len(entries))
    if not entries or [one.counter for one in entries] != list(counters):
        return None
    offset = place.offset + _LENGTH.size + size + _HASH
    return Frame(entries, Place(place.segment, offset, entries[-1].counter, entries[-1].time, chain))


def rest(folder: Path, place: Place) -> int:
    """How many octets lie behind the last whole frame, when they can only be a frame that was never finished.

    That is one frame at most, cut short or not all on disk. Raises `LedgerBroken` for anything else.
    """
    path = segment_path(folder, place.segment)
    with path.open("rb") as file:
        file.seek(place.offset)
        left = file.read(LARGEST_FRAME + _LENGTH.size + _HASH + 1)
    size = _LENGTH.unpack(left[: _LENGTH.size])[0] if len(left) >= _LENGTH.size else len(left)
    one_frame = 0 < size <= LARGEST_FRAME and len(left) <= _LENGTH.size + size + _HASH
    if left and not one_frame and any(left):
        raise broken(f"{path} is damaged at octet {place.offset}, behind entry {place.counter}.")
    return len(left)


def walk(folder: Path, place: Place | None = None) -> Iterator[Frame]:
    """Every whole frame from `place` (default: the beginning) to the end of the ledger.

    Raises `LedgerBroken`, naming the place, for everything that is not as it was written; only at the very end
    an unfinished frame is passed over.
    """
    every = segments(folder)
    at = place or start_of(folder, 1)
    if at.counter == 0 and at.chain != EMPTY:
        raise broken(f"The ledger in {folder} does not begin with its first entry.")
    for first in (one for one in every if one >= at.segment):
        if first != at.segment:
            at = _crossed(folder, at, first)
        for frame in frames(folder, at):
            yield frame
            at = frame.end
        if first != every[-1] and rest(folder, at):
            raise broken(f"{segment_path(folder, first)} is damaged at octet {at.offset}, behind entry {at.counter}.")
    rest(folder, at)


def _crossed(folder: Path, end: Place, first: int) -> Place:
    """The start of the next segment, which must go on where the last one ended."""
    start = start_of(folder, first)
    if start.counter != end.counter or start.chain != end.chain:
        raise broken(f"{segment_path(folder, first)} does not follow entry {end.counter}: a segment is missing or cut.")
    return replace(start, time=end.time)


def in_last(folder: Path, end: Place) -> Place:
    """The end of the last whole frame, seen from the last segment, which may hold no frame yet."""
    last = segments(folder)[-1]
    return end if end.segment == last else _crossed(folder, end, last)


def read(folder: Path) -> Iterator[Entry]:
    """Every entry in order, verified as it is read. Raises `LedgerBroken` with the place."""
    for frame in walk(folder):
        yield from frame.entries


def position(folder: Path) -> Place:
    """The end of the ledger, by its last segment alone. Raises `LedgerBroken`."""
    every = segments(folder)
    if not every:
        raise broken(f"There is no ledger in {folder}.")
    end = start_of(folder, every[-1])
    for frame in frames(folder, end):
        end = frame.end
    return end


def verify(folder: Path) -> Report:
    """Recomputes the whole chain. Raises `LedgerBroken` with the first place that is not as it was written."""
    every = segments(folder)
    if not every:
        raise broken(f"There is no ledger in {folder}.")
    end = start_of(folder, 1)
    for frame in walk(folder):
        end = frame.end
    end = in_last(folder, end)
    return Report(end.counter, len(every), end.chain.hex(), end.time, rest(folder, end))


# --- pages, for those who may not read the files ------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page:
    """Entries in their order, the place behind them, and whether more was there when it was read."""

    entries: tuple[Entry, ...]
    end: Place
    more: bool


def page(folder: Path, place: Place | None, octets: int) -> Page:
    """What comes after `place` (none: the beginning), in whole frames: `octets` are passed by one frame at most.

    A place that is none of this ledger's has nothing behind it, or raises `LedgerBroken` like every damage.
    """
    entries: list[Entry] = []
    size = 0
    try:
        end = place or start_of(folder, 1)
        for frame in walk(folder, place):
            entries += frame.entries
            size += frame.end.offset - end.offset if frame.end.segment == end.segment else frame.end.offset
            end = frame.end
            if size >= octets:
                return Page(tuple(entries), end, more=True)
    except (OSError, ValueError) as error:
        raise broken(f"The ledger in {folder} cannot be read: {error}.") from error
    return Page(tuple(entries), end, more=False)


# --- an export ----------------------------------------------------------------------------------


def line(entry: Entry) -> str:
    """An entry as one line of JSON."""
    fields = msgspec.structs.asdict(entry)
    return json.dumps({"at": rfc3339(entry.time), **fields, "sha256": entry.sha256.hex(), "tbs": entry.tbs.hex()})


def parse_line(text: str) -> Entry:
    """The entry of such a line. Raises `LedgerBroken`; that nothing is missing between two, `exported` looks at."""
    try:
        fields = json.loads(text)
        fields.pop("at", None)
        fields["sha256"], fields["tbs"] = bytes.fromhex(fields["sha256"]), bytes.fromhex(fields["tbs"])
        return msgspec.convert([fields[name] for name in Entry.__struct_fields__], Entry)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise broken(f"This is no line of an exported ledger: {error!r}.") from None


def exported(lines: Iterable[str]) -> Iterator[Entry]:
    """The entries of an export, which must be all from the first on. Raises `LedgerBroken`."""
    for counter, entry in enumerate(map(parse_line, lines), 1):
        if entry.counter != counter:
            raise broken(f"The exported ledger goes on with entry {entry.counter} where {counter} is due.")
        yield entry


def broken(detail: str) -> LedgerBroken:
    """The error with its next step."""
    return LedgerBroken(
        detail, next_step="Keep the files as they are, and see 'When the ledger is broken' in docs/keys.md."
    )
