"""A node of the scheduler over a real database; only the jobs are ours."""

from dataclasses import dataclass, field

import pytest

from ca.authority.wallclock import WallClock
from ca.journal import Journal
from ca.store import Store


@dataclass
class Desk:
    """The part of the authority that a run needs: records, journal and a clock that tests set."""

    store: Store
    now: int = 1_800_000_000
    journal: Journal = field(init=False)
    wall: WallClock = field(init=False)

    def __post_init__(self) -> None:
        self.journal = Journal(self.store, self.clock)
        self.wall = WallClock(self.store, self.clock)

    def clock(self) -> int:
        return self.now


@pytest.fixture
def desk(sqlite_store):
    return Desk(sqlite_store)
