"""The authority's wall clock over real records, on clocks that the test owns."""

from dataclasses import dataclass, replace

import pytest

from ca import journal
from ca.authority.wallclock import FRESH, WallClock
from ca.clock import Reading, system_clock
from ca.errors import ClockWrong
from ca.journal import Journal
from ca.records import Actor
from ca.store import Store

OPERATOR = Actor("operator", "alice")
NODE = "node-1"


@dataclass
class Node:
    """A machine with its processes; the database's clock is the real one, so its time begins there."""

    store: Store
    reading: Reading

    def process(self) -> WallClock:
        return WallClock(self.store, look=lambda: self.reading)

    def passes(self, seconds: int, step: int = 0) -> None:
        one = self.reading
        self.reading = replace(one, wall=one.wall + seconds + step, boot=one.boot + seconds)

    def events(self) -> list[str]:
        return [one["action"] for one in journal.tail(self.store) if one["object"] == f"clock:{NODE}"]


@pytest.fixture
def node(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> Node:
    made = Node(sqlite_store, Reading(system_clock(), 100, "boot-1"))
    # Nobody waits: what a process holds is read anew each time, and the database's clock goes with this one.
    monkeypatch.setattr("ca.authority.wallclock.FRESH", -FRESH)
    monkeypatch.setattr(Store, "now", lambda _: made.reading.wall)
    return made


def book(node: Node, process: WallClock) -> Journal:
    return Journal(node.store, process)


@pytest.mark.parametrize("step", [-7200, 7200])
def test_every_process_of_the_node_notices_a_step(node, step):
    scheduler, web = node.process(), node.process()
    scheduler.watch(book(node, scheduler), NODE)
    node.passes(30, step)
    right = node.reading.wall - step
    for process in (scheduler, web, node.process()):
        with pytest.raises(ClockWrong):
            process.demand()
        assert process() == right, "what is written down meanwhile has a time that can be used"


def test_the_alarm_is_one_event_and_so_is_its_end(node):
    scheduler = node.process()
    for step in (0, 7200, 0, 0, -7200, 0):
        node.passes(15, step)
        scheduler.watch(book(node, scheduler), NODE)
    assert node.events() == ["clock.wrong", "clock.trusted"]


def test_an_accepted_clock_is_believed_by_every_process_and_after_a_reboot(node):
    scheduler, web = node.process(), node.process()
    scheduler.watch(book(node, scheduler), NODE)
    before = node.reading.wall
    node.passes(15, -7200)
    scheduler.watch(book(node, scheduler), NODE)
    found = node.process().accept(book(node, scheduler), NODE, OPERATOR)
    assert found.seconds == -7200
    for process in (scheduler, web, node.process()):
        process.demand()
        assert process() == node.reading.wall
        assert process.latest() == before
    scheduler.watch(book(node, scheduler), NODE)
    assert node.events() == ["clock.wrong", "clock.accepted"]
    node.reading = Reading(node.reading.wall + 60, 3, "boot-2")
    node.process().demand()


def test_a_reboot_with_yesterdays_time_is_noticed(node):
    scheduler = node.process()
    scheduler.watch(book(node, scheduler), NODE)
    last = node.reading.wall
    node.reading = Reading(last - 86400, 3, "boot-2")
    process = node.process()
    with pytest.raises(ClockWrong, match="written down"):
        process.demand()
    assert process() == last


def test_a_clock_that_differs_from_the_databases_is_not_accepted(node, monkeypatch):
    monkeypatch.setattr(Store, "now", lambda _: node.reading.wall - 400)
    process = node.process()
    with pytest.raises(ClockWrong, match="database"):
        process.demand()
    with pytest.raises(ClockWrong, match="database"):
        process.accept(book(node, process), NODE, OPERATOR)
    assert not node.events()


def test_a_clock_that_is_handed_in_is_its_owners_affair(sqlite_store):
    process = WallClock(sqlite_store, lambda: 1000)
    process.demand()
    assert process() == 1000
