"""The frozen values that only the records office and its nearest neighbours speak of."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ShardState:
    """One CRL: of a shard, or (`shard` -1) of all. It is stale while `generation` is above `published_generation`, or
    past half of its life.

    `number` is the last CRL number taken; times are those of the published CRL, 0 before the first. A shard that is
    not `open` gets no new certificates; `ended_at` is above 0 when it needs no further CRL. `base_*` are number,
    generation and thisUpdate of the complete CRL that deltas add to.
    """

    issuer: str
    shard: int
    generation: int
    published_generation: int
    number: int
    this_update: int
    next_update: int
    open: bool = True
    ended_at: int = 0
    base_number: int = 0
    base_generation: int = 0
    base_at: int = 0

    @property
    def dirty(self) -> bool:
        """Whether something changed that no published CRL tells."""
        return self.generation > self.published_generation

    def aged(self, now: int) -> bool:
        """Whether half of the published CRL's life has passed."""
        return self.this_update + self.next_update <= 2 * now


@dataclass(frozen=True, slots=True)
class OcspMark:
    """A serial whose OCSP answers are published; each revocation raises `generation`."""

    issuer: str
    serial: int
    generation: int


@dataclass(frozen=True, slots=True)
class Lease:
    """A right to be the only runner until `expires_at` (the database's time). `fence` only ever rises.

    `life` is in seconds: what a renewal adds to the time of the renewal.
    """

    name: str
    holder: str
    fence: int
    life: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class JobRun:
    """The last run of a job; `succeeded_at` is the end of the last good one, 0 if there was none."""

    name: str
    started: int
    ended: int
    ok: bool
    detail: str
    succeeded_at: int


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """One request that must happen once: who asked, what, and the key that the asker chose."""

    principal: str
    method: str
    path: str
    key: str


@dataclass(frozen=True, slots=True)
class Replay:
    """The first outcome of a request that comes again."""

    status: int
    response: bytes


@dataclass(frozen=True, slots=True)
class EventRow:
    """A journal entry as it lies in the database; `body` are the entry's bytes, the other columns find it."""

    id: int
    time: int
    action: str
    actor: str
    target: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Leaf:
    """An entry's place in the chain: dense `index` from 0, leaf hash and chain hash of 32 octets each."""

    index: int
    event: int
    hash: bytes
    chain: bytes


@dataclass(frozen=True, slots=True)
class Chained:
    """A leaf with its entry; `row` is None when the entry is gone."""

    leaf: Leaf
    row: EventRow | None


@dataclass(frozen=True, slots=True)
class Personal:
    """One piece of personal data of an entry, erasable: the entry holds SHA-256(salt || clear) only."""

    event: int
    name: str
    clear: str
    salt: bytes


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many entries wait for the sequencer, and the time of the oldest, 0 when there is none."""

    count: int
    oldest: int


@dataclass(frozen=True, slots=True)
class Head:
    """A signed head: `hash` is the chain hash after `size` entries, `time` when it was signed."""

    size: int
    origin: str
    hash: bytes
    signature: bytes
    key_id: str
    time: int
    fence: int


@dataclass(frozen=True, slots=True)
class TargetState:
    """How far a publication target is: every row up to `seq` is there.

    `behind_since` is when it was first seen to lack something, 0 when it is whole. `failures` counts those in a row;
    `trouble` is the last one, and it is tried again at `due_at`.
    """

    name: str
    seq: int = 0
    reached_at: int = 0
    behind_since: int = 0
    failures: int = 0
    trouble: str = ""
    due_at: int = 0

    def late(self, now: int) -> int:
        """Seconds for which it has lacked something; 0 when it is whole."""
        return max(0, now - self.behind_since) if self.behind_since else 0
