"""One runner across all nodes: a lease in the database, with the database's time and a fencing token.

The lease is renewed in the background, so a long job does not lose it. Whoever works under it asks `fence()`
each time; that raises `LeaseLost` as soon as this node cannot be sure any more, and the token is checked again
at every write that publishes. Two runners at once are therefore harmless, and in the long run there is one.
"""

import threading
import time

import structlog

from ca import store
from ca.errors import LeaseLost, StoreUnavailable
from scheduler import metrics

NAME = "scheduler"


class Lease:
    """This node's share in the lease `scheduler`: `start()` begins to ask for it, `stop()` gives it back."""

    def __init__(self, records: store.Store, holder: str, life: int) -> None:
        self._records, self._holder, self._life = records, holder, life
        self._held: store.Lease | None = None
        self._until = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def start(self) -> None:
        """Asks once now, then keeps asking in the background."""
        self._ask()
        self._thread.start()

    def fence(self) -> int:
        """The fencing token, while the lease is surely held. Raises `LeaseLost`."""
        held = self._held
        if held is None or time.monotonic() >= self._until:
            raise LeaseLost("Another node runs the jobs.", next_step="Nothing to do: this one takes over when it must.")
        return held.fence

    def stop(self) -> None:
        """Gives the lease back, so that the next runner need not wait for its end."""
        self._stop.set()
        self._thread.join()
        held, self._held = self._held, None
        if held is None:
            return
        try:
            self._records.release(held)
        except (LeaseLost, StoreUnavailable):
            return

    def _keep(self) -> None:
        while not self._stop.wait(self._life / 3):
            self._ask()

    def _ask(self) -> None:
        """The local end comes before the database's: counted from before the question, less its whole second."""
        before = time.monotonic()
        try:
            held = self._records.renew(self._held) if self._held else self._acquire()
        except LeaseLost:
            self._drop()
        except StoreUnavailable as error:
            structlog.get_logger().warning("lease.unknown", detail=error.detail)
        else:
            self._held, self._until = held, before + self._life - 1
            metrics.LEASE.set(1)

    def _acquire(self) -> store.Lease:
        held = self._records.acquire(NAME, self._holder, self._life)
        structlog.get_logger().info("lease.acquired", fence=held.fence)
        return held

    def _drop(self) -> None:
        if self._held:
            structlog.get_logger().warning("lease.lost", fence=self._held.fence)
        self._held = None
        metrics.LEASE.set(0)
