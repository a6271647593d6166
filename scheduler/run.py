"""One run of one job: the edge where an error ends. It is recorded, journalled and counted, and never goes on."""

import time
from dataclasses import dataclass, field

import structlog

from ca.authority import Authority, Report
from ca.errors import CAError, ClockWrong, LeaseLost, NotFound, StoreUnavailable, Unavailable
from ca.records import SYSTEM, Event
from scheduler import metrics
from scheduler.lease import Lease
from scheduler.timetable import Job

QUIET = 60
"""Seconds within which an uneventful success is not recorded again: a job of each second writes once a minute."""


@dataclass(frozen=True)
class Runner:
    """Runs the jobs of one node. `_said` holds the failure of each job that the log has told of already."""

    authority: Authority
    lease: Lease
    _said: dict[str, str] = field(default_factory=dict)

    def run(self, job: Job) -> bool:
        """Runs it, unless another node holds the lease, or it goes by a wall clock that is wrong. Never raises.

        Answers False when it is worth trying again soon: the signer or the database was away, or the lease, which
        may be that of a runner that was killed.
        """
        try:
            fence = 0 if job.everywhere else self.lease.fence()
            if not job.timeless:
                self.authority.wall.demand()
        except LeaseLost:
            return False
        except ClockWrong:
            return True  # the alarm of a wrong clock is raised by its own job
        return self._run(job, fence)

    def _run(self, job: Job, fence: int) -> bool:
        started, began, away = self.authority.clock(), time.monotonic(), False
        try:
            report = job.run(self.authority, fence)
        except (LeaseLost, ClockWrong):
            return True
        except CAError as error:
            away = isinstance(error, Unavailable)
            self._failed(job, started, str(error))
        except Exception as error:  # noqa: BLE001 - the edge of a job
            self._failed(job, started, f"{type(error).__name__}: {error}", error)
        else:
            self._ended(job, started, report)
        metrics.SECONDS.labels(job.name).observe(time.monotonic() - began)
        return not away

    def _ended(self, job: Job, started: int, report: Report) -> None:
        metrics.RUNS.labels(job.name, "ok").inc()
        metrics.DONE.labels(job.name, "done").inc(report.done)
        metrics.DONE.labels(job.name, "failed").inc(report.failed)
        eventful = bool(report.done or report.failed)
        if eventful or self._said.pop(job.name, ""):
            structlog.get_logger().info("job.ended", job=job.name, done=report.done, failed=report.failed)
        try:
            if eventful or self._is_news(job, started):
                self.authority.store.job_ran(job.name, started, self.authority.clock(), True, report.detail)
        except StoreUnavailable as error:
            structlog.get_logger().warning("job.unrecorded", job=job.name, detail=error.detail)

    def _is_news(self, job: Job, started: int) -> bool:
        """Whether a success says more than the last record does."""
        try:
            last = self.authority.store.last_run(job.name)
        except NotFound:
            return True
        return not last.ok or last.ended + QUIET <= started

    def _failed(self, job: Job, started: int, why: str, unforeseen: Exception | None = None) -> None:
        """Counted each time; logged and journalled when the failure is new: an outage is one entry, not thousands."""
        metrics.RUNS.labels(job.name, "failed").inc()
        if self._said.get(job.name) != why:
            self._said[job.name] = why
            structlog.get_logger().error("job.failed", job=job.name, reason=why, exc_info=unforeseen)
        try:
            self._record_failure(job, started, why)
        except StoreUnavailable as error:
            structlog.get_logger().debug("job.unrecorded", job=job.name, detail=error.detail)

    def _record_failure(self, job: Job, started: int, why: str) -> None:
        with self.authority.store.transaction():
            if self._is_new(job, why):
                event = Event("job.failed", SYSTEM, f"job:{job.name}", result="failed", reason=why)
                self.authority.journal.append(event)
            self.authority.store.job_ran(job.name, started, self.authority.clock(), False, why)

    def _is_new(self, job: Job, why: str) -> bool:
        try:
            last = self.authority.store.last_run(job.name)
        except NotFound:
            return True
        return last.ok or last.detail != why
