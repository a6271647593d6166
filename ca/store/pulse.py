"""Whether the database takes writes: found out by writing one row, seldom and with little patience.

Reads tell nothing of it: they go on over a full disk, and beside another process that holds the write lock.
"""

import time
from collections.abc import Callable

from ca.store.database import disconnect
from ca.store.jobs import Jobs

EVERY = 5.0
"""Seconds for which a write that succeeded says that the next one will."""

PATIENCE = 1
"""Seconds that it waits for a lock or a server."""

_NAME = "pulse"


class Pulse:
    """The pulse of one process's database, over a connection of its own: `office` waits PATIENCE seconds."""

    def __init__(self, office: Jobs, clock: Callable[[], float] = time.monotonic) -> None:
        self._office, self._clock = office, clock
        self._until = 0.0

    def demand(self) -> None:
        """Returns when a write was committed in the last EVERY seconds, or one is now. Raises `StoreUnavailable`."""
        now = self._clock()
        if now < self._until:
            return
        self._until = 0.0
        self._office.set_setting(_NAME, str(now))
        self._until = now + EVERY

    def forget(self) -> None:
        """The next `demand` writes, whenever the last one did."""
        self._until = 0.0

    def close(self) -> None:
        """Closes its connection; the next `demand` opens another."""
        disconnect(self._office.database)
