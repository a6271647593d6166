"""The scheduler process: APScheduler wakes the jobs; the lease decides which node runs them.

`python -m scheduler --config FILE`, or `certwright serve --only scheduler`.
"""

import os
import secrets
import socket
import time
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, repeat

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from ca import logs
from ca.authority import open_authority
from ca.clock import Reading, at, system_clock, system_reading
from ca.config import Config
from ca.signals import Told, told_to_end
from scheduler.lease import Lease
from scheduler.run import Runner
from scheduler.timetable import TIMETABLE, Job

AGAIN = (1, 2, 4)
"""Seconds after which a job is tried again that found signer or database away; the last one until they are back."""

LOOK = 1.0
"""Seconds between two looks at the clocks."""

STEP = 2
"""Seconds by which the wall clock has been set, when it was not only corrected."""


def run(config: Config) -> None:
    """Runs the timetable until SIGTERM or SIGINT; a job that runs then is finished first."""
    stop = told_to_end()
    authority = open_authority(config)
    authority.record_start("scheduler")
    lease = Lease(authority.store, holder(), config.scheduler.lease)
    lease.start()
    waker = build(Runner(authority, lease), stop)
    waker.start()
    steps = Steps()
    structlog.get_logger().info("scheduler.started", jobs=len(TIMETABLE))
    while not stop.wait(LOOK):
        wake_after_a_step(waker, steps)
    waker.shutdown(wait=True)
    lease.stop()
    authority.store.close()
    structlog.get_logger().info("scheduler.stopped")


def build(runner: Runner, ending: Told) -> BackgroundScheduler:
    """APScheduler with the timetable in memory: late runs become one, no job runs beside itself.

    `ending` is set before it is shut down.
    """
    waker = BackgroundScheduler(timezone="UTC", executors={"default": ThreadPoolExecutor(len(TIMETABLE))})
    for job in TIMETABLE:
        every = job.interval(runner.authority.config)
        waker.add_job(
            partial(persist, runner, job, ending),
            IntervalTrigger(seconds=every, timezone="UTC"),
            id=job.name,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
            next_run_time=at(system_clock()),
        )
    return waker


def persist(runner: Runner, job: Job, ending: Told) -> None:
    """Runs a job, and again soon while it finds the signer or the database away, until its next turn or the end.

    It waits on its own thread: APScheduler's own ways to move a turn wait for each other while it shuts down.
    """
    turn = time.monotonic() + job.interval(runner.authority.config)
    for pause in chain(AGAIN, repeat(AGAIN[-1])):
        if runner.run(job) or time.monotonic() + pause >= turn or ending.wait(pause):
            return


@dataclass
class Steps:
    """Notices that the wall clock was set."""

    last: Reading = field(default_factory=system_reading)

    def since(self) -> bool:
        """Whether it was set, rather than corrected, since the last time that this was asked."""
        before, self.last = self.last, system_reading()
        return abs((self.last.wall - before.wall) - (self.last.boot - before.boot)) > STEP


def wake_after_a_step(waker: BackgroundScheduler, steps: Steps) -> None:
    """APScheduler waits for times of the wall clock: one that was set back would leave every job asleep until then."""
    if steps.since():
        for job in waker.get_jobs():
            job.modify(next_run_time=at(system_clock()))


def holder() -> str:
    """Names this very process, never another one: host, process id and something random."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


if __name__ == "__main__":
    import argparse

    from ca import config

    options = argparse.ArgumentParser(prog="python -m scheduler")
    options.add_argument("--config")
    logs.configure("scheduler")
    run(config.load(options.parse_args().config))
