"""The edge of a job: whatever it does, the next one runs, and what happened is known."""

import json

import pytest

from ca import logs
from ca.authority import Report
from ca.errors import HSMUnavailable, LeaseLost, NotFound
from ca.journal import tail
from scheduler import metrics
from scheduler.run import QUIET, Runner
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
    Runner(desk, Held()).run(job(lambda authority, fence: seen.append(fence) or Report("x", done=2)))
    assert seen == [7]
    assert runs("ok") == before + 1
    last = desk.store.last_run("publish_crls")
    assert (last.ok, last.started, last.succeeded_at) == (True, desk.now, desk.now)


def test_without_the_lease_nothing_runs(desk):
    assert not Runner(desk, Lost()).run(job(lambda *_: pytest.fail("it ran")))
    with pytest.raises(NotFound):
        desk.store.last_run("publish_crls")


def test_what_each_node_needs_runs_without_a_lease_and_without_a_fence(desk):
    seen = []
    Runner(desk, Lost()).run(job(lambda _, fence: seen.append(fence) or Report("x"), everywhere=True))
    assert seen == [0]


def test_a_lease_lost_on_the_way_is_no_failure(desk):
    def passes_on(*_):
        raise LeaseLost("fence 8 was seen")

    Runner(desk, Held()).run(job(passes_on))
    assert failures(desk) == []


@pytest.mark.parametrize("error", [HSMUnavailable("The signer is gone."), ZeroDivisionError("a fault of ours")])
def test_a_failure_goes_no_further_and_is_journalled_once(desk, error):
    def fail(*_):
        raise error

    before = runs("failed")
    for _ in range(3):
        Runner(desk, Held()).run(job(fail))
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
        Runner(desk, Held()).run(job(run))
    assert [event["reason"] for event in failures(desk)] == ["one", "one", "two"]


def test_the_last_success_stays_known_through_failures(desk):
    Runner(desk, Held()).run(job(lambda *_: Report("x", done=1)))
    good = desk.now
    desk.now += 500

    def fail(*_):
        raise HSMUnavailable("gone")

    Runner(desk, Held()).run(job(fail))
    assert desk.store.last_run("publish_crls").succeeded_at == good


def test_an_uneventful_success_is_written_once_a_minute(desk):
    def record() -> int:
        Runner(desk, Held()).run(job(lambda *_: Report("x")))
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
    Runner(desk, Held()).run(job(fail))
    Runner(desk, Held()).run(job(lambda *_: Report("x", done=1)))


def test_the_log_tells_of_a_failure_once_and_of_its_end(desk, capsys):
    """A job of each second that fails for a day is one line, not 86,400."""
    logs.configure("test")
    runner = Runner(desk, Held())
    outcomes = iter([HSMUnavailable("gone"), HSMUnavailable("gone"), HSMUnavailable("gone"), None, None])

    def run(*_):
        if error := next(outcomes):
            raise error
        return Report("x")

    for _ in range(5):
        runner.run(job(run))
    told = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert told == ["job.failed", "job.ended"]
