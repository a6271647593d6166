"""The signer's side of its ledger: an entry is on disk before the signature that it tells of leaves.

    with ledger.claim(Claim(key, kind, seen), seconds):     # a serial is new, a CRL or checkpoint higher
        signature = ...
        ledger.record(draft)                                # returns when the entry is on disk

Those who record at the same time share one fsync: whoever comes while one is under way waits for it and for
the next, and nobody waits for company. A crash leaves at most one unfinished frame, which told of signatures
that never left; it is cut off at the next start. A disk that is full lets nothing out, and all is well again when
it has room. After a failed fsync nothing is signed until a restart: what is in the file is not known to be on the
disk, so the restart writes it again. Whatever else is not as it was written stops the signing.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, Lock

import msgspec
import structlog

from ca.errors import CAError, HSMBusy, LedgerBroken, PossiblySigned, SigningRefused, StalePublication
from ca.keys import ledger as disk
from ca.keys.files import write_durably
from ca.keys.ledger import CERTIFICATES, CLOCK, HEADER, MAGIC, Entry, Place
from ca.keys.signer.tables import Highest, Index
from ca.records import SignKind

log = structlog.get_logger()

SEGMENT_OCTETS = 64 << 20
_FRAME_OCTETS = 4 << 20
_ROOM_OCTETS = 64 << 10
_CATCH_UP = 1024

AHEAD = 300
"""Seconds that a CRL may lie ahead of the signer's clock."""

_CRL_LEAP = 64
_JOURNAL_LEAP = 1_000_000

Sync = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Claim:
    """What a signature takes for good at the time `now`: a serial (`mark`), or number and time in a scope (`mark`)."""

    key: str
    kind: str
    mark: str
    number: int = 0
    this_update: int = 0
    sha256: bytes = b""
    now: int = 0


@dataclass(slots=True)
class _Ticket:
    """An entry on its way to the disk, without its counter yet."""

    draft: Entry
    done: bool = False
    failure: CAError | None = None


@dataclass(slots=True)
class _Writing:
    """The open segment, and the place behind its last frame that is on disk."""

    descriptor: int = -1
    end: Place = field(default_factory=lambda: Place(1, 0, 0, 0, disk.EMPTY))


class Ledger:
    """The ledger in `folder`. Thread-safe. Opening never raises: a ledger that is broken is told by `check`.

    `segment` is the size in octets after which the next one begins; `sync` makes a descriptor's data durable.
    """

    def __init__(self, folder: Path, *, segment: int = SEGMENT_OCTETS, sync: Sync = os.fdatasync) -> None:
        self.folder = folder
        self._segment = segment
        self._sync = sync
        self._fault: LedgerBroken | None = None
        self._trouble: LedgerBroken | None = None
        self._behind = False
        self._counting = Lock()
        self._writing = _Writing()
        self._queue: list[_Ticket] = []
        self._flushing = False
        self._changed = Condition()
        self._held: set[tuple[str, str, str]] = set()
        try:
            self._open()
        except LedgerBroken as error:
            self._fail(error)
        except OSError as error:
            self._fail(disk.broken(f"The ledger in {folder} cannot be opened: {error.strerror}."))

    # --- for the desk ---

    def check(self) -> None:
        """Returns when the ledger can be written. Raises `LedgerBroken`: then nothing may be signed."""
        if self._fault:
            raise LedgerBroken(self._fault.detail, next_step=self._fault.next_step)
        if self._behind:
            self._count_missed()

    def fault(self) -> LedgerBroken | None:
        """Why the ledger cannot be written; None when it can. After a write that failed, the disk is tried again."""
        if self._fault is None and self._trouble is not None:
            self._try_again()
        return self._fault or self._trouble

    def end(self) -> Place:
        """The place behind the last entry that is on disk."""
        return self._writing.end

    def highest(self, key: str, kind: str, mark: str) -> Highest:
        """The highest number and time in a scope. Raises `LedgerBroken`: then nothing is known."""
        self.check()
        return self._index.highest(key, kind, mark)

    def longest_journal(self) -> int:
        """The highest size of a checkpoint that was signed. Raises `LedgerBroken`."""
        return self._index.longest_journal()

    def latest(self) -> int:
        """The latest time that was ever entered, whichever clock was accepted since. Raises `LedgerBroken`."""
        self.check()
        return max(self.end().time, self._index.highest("", CLOCK, "").number)

    @contextmanager
    def claim(self, claim: Claim, seconds: float) -> Iterator[None]:
        """Holds a serial, or the scope of a rising number, for the body; what `record` then writes is taken for good.

        Raises `SigningRefused` for a used serial, `StalePublication` for a number or time that does not rise,
        and `HSMBusy` when another request holds the same for longer than `seconds`.
        """
        place = (claim.key, "serial" if claim.kind in CERTIFICATES else claim.kind, claim.mark)
        with self._changed:
            if not self._changed.wait_for(lambda: place not in self._held, seconds):
                raise HSMBusy("The same serial or number is being signed.", next_step="Nothing was signed; ask again.")
            self._held.add(place)
        try:
            self._must_be_new(claim)
            yield
        finally:
            with self._changed:
                self._held.discard(place)
                self._changed.notify_all()

    def _must_be_new(self, claim: Claim) -> None:
        self.check()
        if claim.kind in CERTIFICATES:
            if self._index.is_used(claim.key, claim.mark):
                raise SigningRefused(
                    f"{claim.key} has signed the serial {claim.mark} already.",
                    next_step="Nothing was signed. Take a new serial.",
                )
            return
        highest = self._index.highest(claim.key, claim.kind, claim.mark)
        again = claim.kind == SignKind.CHECKPOINT and claim.sha256 == highest.sha256
        if not again and (claim.number <= highest.number or claim.this_update < highest.this_update):
            raise StalePublication(
                f"{claim.key} has signed a {claim.kind} {highest.number} already, and {claim.number} is not newer.",
                next_step="Nothing was signed: number and time only rise.",
            )
        if not _within_reach(claim, highest):
            raise SigningRefused(
                f"The {claim.kind} {claim.number} leaps ahead: with it, {claim.key} could sign no honest one any more.",
                next_step="Nothing was signed. Compare the clocks of this host and of whoever asked.",
            )

    def record(self, *drafts: Entry) -> None:
        """Returns when these entries are on disk; their counters are given here.

        Raises `LedgerBroken` when they surely are not, `PossiblySigned` when that is not known. Either way the
        signature must not leave.
        """
        tickets = [_Ticket(draft) for draft in drafts]
        with self._changed:
            self._queue += tickets
            self._changed.wait_for(lambda: not self._flushing or all(one.done for one in tickets))
            leads = not all(one.done for one in tickets)
            if leads:
                self._flushing, batch, self._queue = True, self._queue, []
        if leads:
            self._flush(batch)
        for one in tickets:
            if one.failure:
                raise type(one.failure)(one.failure.detail, next_step=one.failure.next_step)

    def close(self) -> None:
        """Closes the files. What was recorded is on disk already."""
        if self._writing.descriptor >= 0:
            os.close(self._writing.descriptor)
            self._writing.descriptor = -1
            self._index.close()

    # --- one commit ---

    def _flush(self, batch: list[_Ticket]) -> None:
        try:
            for part in _parts(batch):
                self._commit(part)
        finally:
            with self._changed:
                self._flushing = False
                for one in batch:
                    if not one.done:
                        one.failure, one.done = PossiblySigned("The signer failed.", next_step="See its log."), True
                self._changed.notify_all()

    def _commit(self, part: list[_Ticket]) -> None:
        try:
            self.check()
            self._write(tuple(one.draft for one in part))
        except CAError as error:
            for one in part:
                one.failure = error
        for one in part:
            one.done = True

    def _write(self, drafts: tuple[Entry, ...]) -> None:
        self._turn_page()
        end = self._writing.end
        entries = tuple(msgspec.structs.replace(one, counter=end.counter + n) for n, one in enumerate(drafts, 1))
        octets, chain = disk.seal(entries, end.chain)
        self._append(octets)
        last = entries[-1]
        self._writing.end = Place(end.segment, end.offset + len(octets), last.counter, last.time, chain)
        self._trouble = None
        try:
            self._index.count(entries, self._writing.end)
        except LedgerBroken as error:
            # The entries are on disk: these signatures may leave, and nothing more until the index has counted them.
            self._behind, self._trouble = True, error

    def _append(self, octets: bytes) -> None:
        descriptor, before = self._writing.descriptor, self._writing.end.offset
        try:
            _write_all(descriptor, octets)
        except OSError as error:
            self._take_back(before, error)
        try:
            self._sync(descriptor)
        except OSError as error:
            # After a failed fsync nobody knows what is on disk, and a second one may succeed and mean nothing.
            self._fail(disk.broken(f"The ledger could not be made durable: {error.strerror}."))
            raise PossiblySigned(
                f"The signer's ledger could not be made durable: {error.strerror}.",
                next_step="Treat the serial as signed. Mend the disk, then restart the signer.",
            ) from error

    def _try_again(self) -> None:
        """Is there room again? Tried beside the ledger: while nobody is sent here, nothing else would find out."""
        room = self.folder / ".room"
        try:
            room.write_bytes(bytes(_ROOM_OCTETS))
            self._count_missed()
            self._trouble = None
        except OSError as error:
            self._trouble = disk.broken(f"The ledger could not be written: {error.strerror}.")
        except LedgerBroken as error:
            self._trouble = error
        finally:
            room.unlink(missing_ok=True)

    def _count_missed(self) -> None:
        """Has the index count what it could not count when it was written. Raises `LedgerBroken` if it still cannot."""
        with self._counting:
            if self._behind:
                self._catch_up(self._index.place())
                self._behind = False

    def _take_back(self, offset: int, error: OSError) -> None:
        """A frame that could not be written whole (a full disk) goes; then the next attempt may succeed."""
        try:
            os.ftruncate(self._writing.descriptor, offset)
        except OSError as worse:
            self._fail(disk.broken(f"The ledger could not be written, nor set back: {worse.strerror}."))
        self._trouble = disk.broken(f"The ledger could not be written: {error.strerror}.")
        raise self._trouble from error

    def _turn_page(self) -> None:
        """Begins the next segment when this one is full."""
        end = self._writing.end
        if end.offset < self._segment:
            return
        try:
            self._begin(end.counter + 1, end.chain)
            descriptor = _open_to_append(self.folder, end.counter + 1)
        except OSError as error:
            raise disk.broken(f"The ledger's next segment could not be begun: {error.strerror}.") from error
        os.close(self._writing.descriptor)
        self._writing.descriptor = descriptor
        self._writing.end = Place(end.counter + 1, HEADER, end.counter, end.time, end.chain)
        log.info("ledger.segment", first=end.counter + 1)

    def _begin(self, first: int, chain: bytes) -> None:
        write_durably(disk.segment_path(self.folder, first), MAGIC + chain)

    # --- the start ---

    def _open(self) -> None:
        if not self.folder.is_dir():
            raise disk.broken(f"The signer has keys, but its ledger in {self.folder} is gone.")
        self._index = Index(self.folder / "index.sqlite")
        known = self._index.place()
        if not disk.segments(self.folder):
            if known:
                raise disk.broken(f"The ledger in {self.folder} is gone: its index knows {known.counter} entries.")
            self._begin(1, disk.EMPTY)
        else:
            self._write_again(known)
        end = self._catch_up(known)
        self._writing.descriptor = _open_to_append(self.folder, end.segment)
        self._cut(end)
        self._writing.end = end

    def _write_again(self, known: Place | None) -> None:
        """What the index does not vouch for may be in memory alone and look clean, if an fsync has failed there."""
        last = disk.segments(self.folder)[-1]
        with disk.segment_path(self.folder, last).open("r+b") as file:
            since = file.seek(known.offset if known and known.segment == last else 0)
            left = file.read()
            if left:
                file.seek(since)
                file.write(left)
                file.flush()
                self._sync(file.fileno())

    def _catch_up(self, known: Place | None) -> Place:
        """Counts what the index does not know yet, verifying it; answers the end of the last whole frame."""
        if known:
            self._must_hold(known)
        end = known or disk.start_of(self.folder, 1)
        batch: list[Entry] = []
        for frame in disk.walk(self.folder, known):
            end = frame.end
            batch += frame.entries
            if len(batch) >= _CATCH_UP:
                self._index.count(batch, end)
                batch = []
        if batch:
            self._index.count(batch, end)
        return disk.in_last(self.folder, end)

    def _must_hold(self, known: Place) -> None:
        """The ledger must reach the place up to which the index counted it, and be the same there."""
        path = disk.segment_path(self.folder, known.segment)
        try:
            with path.open("rb") as file:
                file.seek(known.offset - len(known.chain))
                found = file.read(len(known.chain))
        except OSError as error:
            raise disk.broken(f"{path} cannot be read: {error.strerror}.") from error
        if found != known.chain:
            raise disk.broken(
                f"The ledger was cut or changed: {path} does not hold the {known.counter} entries that its index knows."
            )

    def _cut(self, end: Place) -> None:
        """Takes an unfinished frame off the end: what it tells of has never left."""
        left = disk.rest(self.folder, end)
        if left:
            os.ftruncate(self._writing.descriptor, end.offset)
            os.fsync(self._writing.descriptor)
            log.warning("ledger.torn", octets=left, behind=end.counter)

    def _fail(self, error: LedgerBroken) -> None:
        self._fault = error
        log.critical("ledger.broken", detail=error.detail, next_step=error.next_step)


def _within_reach(claim: Claim, highest: Highest) -> bool:
    """Whether the next honest one can still be higher: a CRL's number is the time in milliseconds, or the last + 1."""
    latest = claim.now + AHEAD
    if claim.kind == SignKind.CHECKPOINT:
        return not highest.number or claim.number <= highest.number + _JOURNAL_LEAP
    number = claim.number <= max(latest * 1000, highest.number + _CRL_LEAP)
    return number and claim.this_update <= max(latest, highest.this_update)


def _parts(batch: list[_Ticket]) -> Iterator[list[_Ticket]]:
    """The batch in parts that each fit into a frame."""
    part: list[_Ticket] = []
    size = 0
    for one in batch:
        if part and size + len(one.draft.tbs) > _FRAME_OCTETS:
            yield part
            part, size = [], 0
        part.append(one)
        size += len(one.draft.tbs) + 512
    yield part


def _open_to_append(folder: Path, first: int) -> int:
    return os.open(disk.segment_path(folder, first), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)


def _write_all(descriptor: int, octets: bytes) -> None:
    left = memoryview(octets)
    while left:
        left = left[os.write(descriptor, left) :]
