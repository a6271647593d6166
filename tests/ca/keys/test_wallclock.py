"""The signer's guard over a real ledger, on clocks that the test owns."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ca.clock import Reading
from ca.errors import ClockWrong
from ca.keys import ledger as disk
from ca.keys.ledger import CLOCK, Entry
from ca.keys.signer.ledger import Ledger
from ca.keys.signer.wallclock import Guard
from ca.records import SignKind

NOW = 1_800_000_000
START = Reading(NOW, 100, "boot-1")


@dataclass
class Machine:
    """A machine whose clocks are set by hand; `guard` is that of a signer that starts now."""

    folder: Path
    reading: Reading = START

    def passes(self, seconds: int, step: int = 0) -> None:
        one = self.reading
        self.reading = replace(one, wall=one.wall + seconds + step, boot=one.boot + seconds)

    def reboots(self, wall: int) -> None:
        self.reading = Reading(wall, 5, "boot-2")

    @contextmanager
    def guard(self) -> Iterator[Guard]:
        ledger = Ledger(self.folder)
        try:
            yield Guard(lambda: self.reading, self.folder / "clock.json", ledger)
        finally:
            ledger.close()

    def signs(self, guard: Guard) -> None:
        """Something is entered at the guard's time."""
        ledger = guard._ledger
        ledger.record(Entry(0, guard.best(), "issuing-g1", SignKind.CSR.value, 0, bytes(32)))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_time_goes_on(machine):
    with machine.guard() as guard:
        machine.passes(3600, step=20)
        assert guard.now() == NOW + 3620
        assert guard.fault() is None


@pytest.mark.parametrize("step", [-7200, 7200])
def test_a_step_stops_it_over_restarts_and_setting_it_right_lets_it_go_on(machine, step):
    with machine.guard() as guard:
        machine.passes(60, step)
        with pytest.raises(ClockWrong):
            guard.now()
        assert guard.best() == NOW + 60
    with machine.guard() as guard:
        assert guard.fault() is not None, "a restart is no acceptance"
        machine.passes(60, -step)
        assert guard.now() == NOW + 120


def test_after_a_reboot_the_ledger_remembers(machine):
    with machine.guard() as guard:
        machine.passes(500)
        machine.signs(guard)
    machine.reboots(NOW - 86400)
    with machine.guard() as guard:
        assert "written down" in str(guard.fault())


@pytest.mark.parametrize("step", [-7200, 7200])
def test_an_accepted_clock_is_entered_and_believed_over_restarts(machine, step):
    with machine.guard() as guard:
        machine.signs(guard)
        machine.passes(60, step)
        guard.accept(1234)
        assert guard.now() == NOW + 60 + step
    with machine.guard() as guard:
        assert guard.now() == NOW + 60 + step
    (entry,) = [one for one in disk.read(machine.folder) if one.kind == CLOCK]
    assert (entry.peer, entry.time, entry.number) == (1234, NOW + 60 + step, NOW)


def test_what_is_published_never_goes_behind_the_latest_time(machine):
    with machine.guard() as guard:
        machine.signs(guard)
        for _ in range(2):
            machine.passes(10, -7200)
            guard.accept(0)
        assert guard.now() < NOW
        assert guard.latest() == NOW
    with machine.guard() as guard:
        machine.passes(4 * 7200)
        assert guard.latest() == guard.now(), "time has caught up"


def test_a_lost_or_damaged_file_is_no_acceptance_of_the_past(machine):
    with machine.guard() as guard:
        machine.signs(guard)
    (machine.folder / "clock.json").write_text("{")
    machine.passes(0, -3600)
    with machine.guard() as guard:
        assert guard.fault() is not None
