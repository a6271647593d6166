"""The edge of a job: whatever it does, the next one runs, and what happened is known."""

import pytest

from ca.authority import Report
from ca.errors import HSMUnavailable, LeaseLost, NotFound
from ca.journal import tail
from scheduler import metrics
from scheduler.run import QUIET, run_job
from scheduler.timetable import Job


class Held:
    """A lease that this node holds."""

    def fence(self) -> int:
        return 7


class Lost:
    def fence(self) -> int:
        raise LeaseLost("another")


def job(run, **other) -> Job:
    return Job("publish_crls", "scheduler.crl", run, **other)


def runs(result: str) -> float:
    return metrics.RUNS.labels("publish_crls", result)._value.get()


def failures(desk) -> list[dict]:
    return [event for event in tail(desk.store, 100) if event["action"] == "job.failed"]


def test_a_run_is_recorded_and_counted_and_gets_the_fence(desk):
    seen = []
    before = runs("ok")
    run_job(job(lambda authority, fence: seen.append(fence) or Report("x", done=2)), desk, Held())
    assert seen == [7]
    assert runs("ok") == before + 1
    last = desk.store.last_run("publish_crls")
    assert (last.ok, last.started, last.succeeded_at) == (True, desk.now, desk.now)


def test_without_the_lease_nothing_runs(desk):
    run_job(job(lambda *_: pytest.fail("it ran")), desk, Lost())
    with pytest.raises(NotFound):
        desk.store.last_run("publish_crls")


def test_what_each_node_needs_runs_without_a_lease_and_without_a_fence(desk):
    seen = []
    run_job(job(lambda _, fence: seen.append(fence) or Report("x"), everywhere=True), desk, Lost())
    assert seen == [0]


def test_a_lease_lost_on_the_way_is_no_failure(desk):
    def passes_on(*_):
        raise LeaseLost("fence 8 was seen")

    run_job(job(passes_on), desk, Held())
    assert failures(desk) == []


@pytest.mark.parametrize("error", [HSMUnavailable("The signer is gone."), ZeroDivisionError("a fault of ours")])
def test_a_failure_goes_no_further_and_is_journalled_once(desk, error):
    def fail(*_):
        raise error

    before = runs("failed")
    for _ in range(3):
        run_job(job(fail), desk, Held())
    assert runs("failed") == before + 3
    [event] = failures(desk)
    assert event["object"] == "job:publish_crls"
    assert str(error).split()[-1] in event["reason"]
    assert desk.store.last_run("publish_crls").ok is False


def test_it_is_journalled_again_after_a_success_and_for_another_reason(desk):
    def fail(why: str):
        def run(*_):
            raise HSMUnavailable(why)

        return run

    for run in (fail("one"), lambda *_: Report("x", done=1), fail("one"), fail("two")):
        run_job(job(run), desk, Held())
    assert [event["reason"] for event in failures(desk)] == ["one", "one", "two"]


def test_the_last_success_stays_known_through_failures(desk):
    run_job(job(lambda *_: Report("x", done=1)), desk, Held())
    good = desk.now
    desk.now += 500

    def fail(*_):
        raise HSMUnavailable("gone")

    run_job(job(fail), desk, Held())
    assert desk.store.last_run("publish_crls").succeeded_at == good


def test_an_uneventful_success_is_written_once_a_minute(desk):
    def record() -> int:
        run_job(job(lambda *_: Report("x")), desk, Held())
        return desk.store.last_run("publish_crls").ended

    first = record()
    desk.now += QUIET - 1
    assert record() == first
    desk.now += 1
    assert record() == desk.now


def test_a_database_that_is_away_does_not_end_the_process(desk, tmp_path):
    def fail(*_):
        raise HSMUnavailable("gone")

    (tmp_path / "certwright.sqlite").unlink()
    (tmp_path / "certwright.sqlite").mkdir()
    run_job(job(fail), desk, Held())
    run_job(job(lambda *_: Report("x", done=1)), desk, Held())
