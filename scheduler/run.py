"""One run of one job: the edge where an error ends. It is recorded, journalled and counted, and never goes on."""

import time

import structlog

from ca.authority import Authority, Report
from ca.errors import CAError, LeaseLost, NotFound, StoreUnavailable
from ca.records import SYSTEM, Event
from scheduler import metrics
from scheduler.lease import Lease
from scheduler.timetable import Job

QUIET = 60
"""Seconds within which an uneventful success is not recorded again: a job of each second writes once a minute."""


def run_job(job: Job, authority: Authority, lease: Lease) -> None:
    """Runs it, unless another node holds the lease. Never raises."""
    try:
        fence = 0 if job.everywhere else lease.fence()
    except LeaseLost:
        return
    started, began = authority.clock(), time.monotonic()
    try:
        report = job.run(authority, fence)
    except LeaseLost:
        return
    except CAError as error:
        structlog.get_logger().error("job.failed", job=job.name, reason=str(error))
        _failed(job, authority, started, str(error))
    except Exception as error:  # noqa: BLE001 - the edge of a job
        structlog.get_logger().exception("job.failed", job=job.name)
        _failed(job, authority, started, f"{type(error).__name__}: {error}")
    else:
        _ended(job, authority, started, report)
    metrics.SECONDS.labels(job.name).observe(time.monotonic() - began)


def _ended(job: Job, authority: Authority, started: int, report: Report) -> None:
    metrics.RUNS.labels(job.name, "ok").inc()
    metrics.DONE.labels(job.name, "done").inc(report.done)
    metrics.DONE.labels(job.name, "failed").inc(report.failed)
    if report.done or report.failed:
        structlog.get_logger().info("job.ended", job=job.name, done=report.done, failed=report.failed)
    _record(job, authority, started, report.detail, bool(report.done or report.failed))


def _record(job: Job, authority: Authority, started: int, detail: str, eventful: bool) -> None:
    try:
        last = authority.store.last_run(job.name)
        if eventful or not last.ok or last.ended + QUIET <= started:
            authority.store.job_ran(job.name, started, authority.clock(), True, detail)
    except NotFound:
        authority.store.job_ran(job.name, started, authority.clock(), True, detail)
    except StoreUnavailable as error:
        structlog.get_logger().warning("job.unrecorded", job=job.name, detail=error.detail)


def _failed(job: Job, authority: Authority, started: int, why: str) -> None:
    """Counted each time; journalled when the failure is new, so that an outage is one entry and not thousands."""
    metrics.RUNS.labels(job.name, "failed").inc()
    try:
        with authority.store.transaction():
            if _is_new(job, authority, why):
                event = Event("job.failed", SYSTEM, f"job:{job.name}", result="failed", reason=why)
                authority.journal.append(event)
            authority.store.job_ran(job.name, started, authority.clock(), False, why)
    except StoreUnavailable as error:
        structlog.get_logger().warning("job.unrecorded", job=job.name, detail=error.detail)


def _is_new(job: Job, authority: Authority, why: str) -> bool:
    try:
        last = authority.store.last_run(job.name)
    except NotFound:
        return True
    return last.ok or last.detail != why
