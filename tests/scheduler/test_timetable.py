"""The timetable: every interval is a key of the configuration, and the process runs it as promised."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace

import pytest

from ca import config
from ca.authority import Report
from ca.errors import HSMUnavailable
from scheduler import __main__ as process
from scheduler.run import Runner
from scheduler.timetable import TIMETABLE, Job

pytestmark = pytest.mark.slow


@dataclass
class Desk:
    """What waking needs of the authority; the jobs are the test's own."""

    config: object
    store: object
    journal: object
    clock: object
    wall: object


class Held:
    def fence(self) -> int:
        return 1


def test_each_interval_is_a_key_of_the_configuration():
    known = set(config.keys())
    defaults = config.Config()
    for job in TIMETABLE:
        assert job.every in known
        assert job.interval(defaults) >= 1


def test_names_are_unique_and_each_job_has_its_own_function():
    assert len({job.name for job in TIMETABLE}) == len(TIMETABLE)
    assert len({job.run for job in TIMETABLE}) == len(TIMETABLE)


def test_what_publishes_runs_under_the_lease():
    """A replica that publishes without a fence could put older over newer (INC-02)."""
    everywhere = {job.name for job in TIMETABLE if job.everywhere}
    own = {"watch_clock", "renew_own_certificate", "watch_signer", "drop_answers"}
    assert everywhere == own | {"feed_publications", "feed_folders"}


@pytest.fixture
def woken(desk, monkeypatch):
    """Wakes jobs of the test's own over real records, and shuts down at the end."""
    made, ending = [], threading.Event()

    def wake(*jobs: Job):
        monkeypatch.setattr(process, "TIMETABLE", jobs)
        made_desk = Desk(config.Config(), desk.store, desk.journal, desk.clock, desk.wall)
        waker = process.build(Runner(made_desk, Held()), ending)
        made.append(waker)
        waker.start()
        return waker

    yield wake
    ending.set()
    for waker in made:
        if waker.running:
            waker.shutdown(wait=True)


def test_a_slow_job_never_runs_beside_itself_and_holds_up_no_other(woken):
    running, most, others = [], [], []

    def slow(*_):
        running.append(1)
        most.append(len(running))
        time.sleep(2.5)
        running.pop()
        return Report("x")

    def quick(*_):
        others.append(1)
        return Report("x")

    woken(Job("publish_crls", "audit.sequence_every", slow), Job("refresh_ocsp", "audit.sequence_every", quick))
    time.sleep(3.6)
    assert max(most) == 1
    assert len(others) >= 3


def test_a_job_that_found_the_signer_away_is_tried_again_soon(woken):
    """Its own interval is five minutes: a service that starts without its signer would have no responder so long."""
    tries = []

    def until_the_third(*_):
        tries.append(time.monotonic())
        if len(tries) < 3:
            raise HSMUnavailable("The signer is not there yet.")
        return Report("x", done=1)

    def broken(*_):
        tries_of_another.append(1)
        raise ZeroDivisionError

    tries_of_another = []
    woken(
        Job("renew_responders", "scheduler.renewals", until_the_third), Job("expire_acme", "scheduler.expiry", broken)
    )
    end = time.monotonic() + 15
    while len(tries) < 3:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert tries[2] - tries[1] > tries[1] - tries[0] - 1
    time.sleep(1.5)
    assert len(tries) == 3
    assert len(tries_of_another) == 1


def test_a_job_that_waits_for_the_signer_holds_up_no_end(desk, monkeypatch):
    tries, ending = [], threading.Event()

    def away(*_):
        tries.append(1)
        raise HSMUnavailable("gone")

    monkeypatch.setattr(process, "TIMETABLE", (Job("renew_responders", "scheduler.renewals", away),))
    made = Desk(config.Config(), desk.store, desk.journal, desk.clock, desk.wall)
    waker = process.build(Runner(made, Held()), ending)
    waker.start()
    while len(tries) < 2:
        time.sleep(0.05)
    began = time.monotonic()
    ending.set()
    waker.shutdown(wait=True)
    assert time.monotonic() - began < 2


def test_shutting_down_finishes_the_running_job(woken):
    began, ended = threading.Event(), threading.Event()

    def slow(*_):
        began.set()
        time.sleep(1)
        ended.set()
        return Report("x")

    waker = woken(Job("publish_crls", "scheduler.crl", slow))
    assert began.wait(5)
    waker.shutdown(wait=True)
    assert ended.is_set()


@pytest.mark.slow
def test_a_failing_job_does_not_end_the_process_and_sigterm_does(tmp_path, sqlite_url):
    """The whole process over an empty CA: jobs that need an issuer or a signer fail, and nothing else happens."""
    (tmp_path / "c.toml").write_text(f'mode = "demo"\n[database]\nurl = "{sqlite_url}"\n')
    command = [sys.executable, "-m", "scheduler", "--config", str(tmp_path / "c.toml")]
    log = tmp_path / "log"
    with log.open("wb") as file:
        running = subprocess.Popen(command, stderr=file, env={**os.environ, "NO_COLOR": "1"})
    while "scheduler.started" not in log.read_text():
        assert running.poll() is None
        time.sleep(0.1)
    time.sleep(4)
    assert running.poll() is None
    running.send_signal(signal.SIGTERM)
    running.wait(20)
    said = log.read_text()
    assert running.returncode == 0
    assert "job.failed" in said
    assert "scheduler.stopped" in said
    assert "Traceback" not in said


def test_a_wall_clock_that_is_set_back_leaves_no_job_asleep(woken):
    runs = threading.Semaphore(0)
    waker = woken(Job("ticking", "scheduler.sweep", lambda *_: (runs.release(), Report("ticking"))[1]))
    assert runs.acquire(timeout=10)
    steps = process.Steps()
    process.wake_after_a_step(waker, steps)
    assert not runs.acquire(timeout=0.5), "nothing was stepped"
    steps.last = replace(steps.last, wall=steps.last.wall + 900)
    process.wake_after_a_step(waker, steps)
    assert runs.acquire(timeout=10)
