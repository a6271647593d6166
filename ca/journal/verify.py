"""Verification: everything is recomputed from the stored bytes, and the first broken place is named.

Found here: a changed octet of an entry or of a column that describes it, a deleted or swapped row, a cut tail,
an edited or unsigned head, clear text that was not what the entry is committed to, an entry taken off the
queue. Not found here, but by a witness (JOURNAL.md §6): history rewritten and signed anew with the genuine
key, and the whole database set back.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ca.errors import BadPublicKey, BadRequest, JournalBroken, NotFound
from ca.journal import entry
from ca.journal.chain import EMPTY, leaf_hash, link
from ca.keys.algorithms import algorithm_of
from ca.keys.checkpoint import Checkpoint
from ca.store import Chained, Head, Personal, Store

BATCH = 512


@dataclass(frozen=True, slots=True)
class Report:
    """A journal that is whole. `unsigned` entries are chained but not under a signed head yet, `waiting` ones
    not chained yet, the oldest of them from `waiting_since` (epoch seconds, 0 if none).

    `lost` entries are the gaps of restores, each told by an entry above it (`restore.performed`).

    `head` is the chain hash (hex) that `key_id` signed at `signed_at` over `signed` of the `size` entries.
    """

    size: int
    signed: int
    head: str
    key_id: str
    signed_at: int
    heads: int
    unsigned: int
    waiting: int
    waiting_since: int
    lost: int = 0

    def late(self, now: int, allowed: int = 30) -> bool:
        """Whether an entry has waited for the sequencer for longer than `allowed` seconds."""
        return bool(self.waiting) and self.waiting_since < now - allowed


def verify(store: Store, keys: Mapping[str, Any]) -> Report:
    """Recomputes the whole journal against the public keys by key id. Raises `JournalBroken` with the place.

    Safe beside writers and the sequencer: what comes while it runs is left to the next run.
    """
    newest = _newest(store)
    walk = _Walk(keys, _heads(store, newest.size))
    for batch in _batches(store):
        clear = store.personal(batch[0].leaf.index, batch[-1].leaf.index)
        walk.through(batch, clear)
    walk.end()
    lost = store.lost_entry()
    if lost:
        _broken(f"event {lost}", "it was taken off the queue and never chained")
    waiting = store.backlog()
    return Report(
        size=walk.size,
        signed=newest.size,
        head=newest.hash.hex(),
        key_id=newest.key_id,
        signed_at=newest.time,
        heads=walk.heads,
        unsigned=walk.size - newest.size,
        waiting=waiting.count,
        waiting_since=waiting.oldest,
        lost=walk.lost,
    )


def _newest(store: Store) -> Head:
    try:
        return store.last_head()
    except NotFound:
        return Head(0, "", EMPTY, b"", "", 0, 0)


def _heads(store: Store, largest: int) -> Iterator[Head]:
    """The signed heads up to a size, in order. Later ones belong to the next run."""
    above = 0
    while found := store.heads(above, BATCH):
        for head in found:
            if head.size > largest:
                return
            yield head
        above = found[-1].size


def _batches(store: Store) -> Iterator[Sequence[Chained]]:
    start = 0
    while batch := store.chained(start, BATCH):
        yield batch
        start = batch[-1].leaf.index + 1


@dataclass
class _Walk:
    """The way along the chain: how far it was followed, its hash there, and the next head on the way."""

    keys: Mapping[str, Any]
    ahead: Iterator[Head]
    size: int = 0
    chain: bytes = EMPTY
    heads: int = 0
    lost: int = 0
    origin: str = ""
    next: Head | None = field(init=False)

    def __post_init__(self) -> None:
        self.next = next(self.ahead, None)

    def through(self, batch: Sequence[Chained], clear: Sequence[Personal]) -> None:
        """Follows the chain through some leaves that come next."""
        by_event: dict[int, list[Personal]] = {}
        for one in clear:
            by_event.setdefault(one.event, []).append(one)
        for chained in batch:
            self._step(chained, by_event.get(chained.leaf.event, ()))

    def end(self) -> None:
        """The chain ends here: no signed head may claim more."""
        if self.next is not None:
            _broken(f"entry {self.size}", f"the tail is cut off: a signed head covers {self.next.size} entries")

    def _step(self, chained: Chained, clear: Sequence[Personal]) -> None:
        leaf, place = chained.leaf, f"entry {self.size}"
        if leaf.index != self.size:
            if not _bridges(chained, self.size):
                _broken(place, f"it is missing; the next one is entry {leaf.index}")
            self.lost += leaf.index - self.size
            self.size = leaf.index
        if chained.row is None:
            _broken(place, f"event {leaf.event} was deleted")
        if leaf_hash(chained.row.body) != leaf.hash:
            _broken(place, f"the bytes of event {leaf.event} were changed")
        self.chain = link(self.chain, leaf.hash)
        if self.chain != leaf.chain:
            _broken(place, "it does not follow from the entry before it: rows were swapped, removed or put in")
        _check_contents(place, chained, clear)
        self.size += 1
        if self.next is not None and self.next.size == self.size:
            self._check_head(self.next)

    def _check_head(self, head: Head) -> None:
        place = f"the head over {head.size} entries"
        if head.hash != self.chain:
            _broken(place, "its hash is not that of the chain")
        if self.origin and head.origin != self.origin:
            _broken(place, f"it names another journal, {head.origin!r}")
        if not _signed(head, self.keys):
            _broken(place, f"the signature of {head.key_id!r} does not verify")
        self.origin, self.heads, self.next = head.origin, self.heads + 1, next(self.ahead, None)


def _bridges(chained: Chained, size: int) -> bool:
    """Whether this entry tells of a restore that lost all between that size and itself."""
    if chained.row is None or chained.row.action != "restore.performed":
        return False
    try:
        detail = entry.read(chained.row.body).get("detail", {})
    except ValueError:
        return False
    return size < chained.leaf.index and (detail.get("from"), detail.get("to")) == (size, chained.leaf.index)


def _check_contents(place: str, chained: Chained, clear: Sequence[Personal]) -> None:
    assert chained.row is not None
    try:
        said = entry.read(chained.row.body)
    except ValueError:
        _broken(place, f"event {chained.row.id} is no entry")
    if not entry.describes(chained.row, said):
        _broken(place, f"the columns of event {chained.row.id} say other than its entry")
    for one in clear:
        if not entry.keeps(said, one):
            _broken(place, f"the clear text of {one.name!r} is not what the entry is committed to")


def _signed(head: Head, keys: Mapping[str, Any]) -> bool:
    key = keys.get(head.key_id)
    if key is None:
        return False
    try:
        text = Checkpoint(head.origin, head.size, head.hash).text()
        return algorithm_of(key).verifies(key, head.signature, text)
    except (BadPublicKey, BadRequest):
        return False


def _broken(place: str, why: str) -> NoReturn:
    raise JournalBroken(
        f"The journal is broken at {place}: {why}.",
        next_step="Keep this database as evidence, and compare it with a backup; see docs/journal.md.",
    )
