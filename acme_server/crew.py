"""A few threads that do jobs when they are due; what finds no place is refused at once, not queued for ever."""

import heapq
import itertools
import time
from collections.abc import Callable
from threading import Condition, Thread

import structlog

Job = Callable[[], None]


class Crew:
    """At most `threads` jobs run and `places` more wait. Jobs end with the process: what must survive is in a row."""

    def __init__(self, name: str, threads: int, places: int) -> None:
        self._name = name
        self._threads = threads
        self._places = places
        self._jobs: list[tuple[float, int, Job]] = []
        self._order = itertools.count()
        self._changed = Condition()
        self._alive = 0
        self._idle = 0

    def offer(self, job: Job, delay: float = 0.0) -> bool:
        """Has the job done after `delay` seconds; answers False, at once, when every place is taken."""
        with self._changed:
            if len(self._jobs) >= self._places:
                return False
            heapq.heappush(self._jobs, (time.monotonic() + delay, next(self._order), job))
            if len(self._jobs) > self._idle and self._alive < self._threads:
                self._alive += 1
                Thread(target=self._work, name=self._name, daemon=True).start()
            self._changed.notify()
        return True

    def _work(self) -> None:
        while True:
            job = self._next()
            try:
                job()
            except Exception:  # noqa: BLE001 - the edge of a job
                structlog.get_logger().exception("job.failed", crew=self._name)

    def _next(self) -> Job:
        with self._changed:
            self._idle += 1
            while not self._jobs or self._jobs[0][0] > time.monotonic():
                self._changed.wait(self._jobs[0][0] - time.monotonic() if self._jobs else None)
            self._idle -= 1
            return heapq.heappop(self._jobs)[2]
