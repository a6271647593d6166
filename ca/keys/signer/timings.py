"""How long the last calls took, by kind: a few hundred of each, in memory."""

from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic

from ca.keys.wire import Times

_KEPT = 512


class Timings:
    """The durations of the newest calls of each kind. Thread-safe."""

    def __init__(self) -> None:
        self._kept: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_KEPT))
        self._lock = Lock()

    @contextmanager
    def timing(self, kind: str) -> Iterator[None]:
        """The body is one call of that kind; one that raises counts too."""
        began = monotonic()
        try:
            yield
        finally:
            self.add(kind, monotonic() - began)

    def add(self, kind: str, seconds: float) -> None:
        """One call of that kind took so long."""
        with self._lock:
            self._kept[kind].append(seconds)

    def summary(self) -> dict[str, Times]:
        """Median and 95th percentile of each kind, in seconds."""
        with self._lock:
            kept = {kind: sorted(values) for kind, values in self._kept.items()}
        return {kind: Times(values[len(values) // 2], values[len(values) * 95 // 100]) for kind, values in kept.items()}
