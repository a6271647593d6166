"""Who may wait for the signer: few, and nobody while it does not answer."""

from threading import Event, Thread

import pytest

from ca.errors import HSMBusy, HSMUnavailable
from ca.keys.circuit import REST, SILENCES, SLOW, Circuit


class Ticks:
    """A monotonic clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Probe:
    """Whether the signer is well, as a test wants it, and how often that was asked."""

    def __init__(self) -> None:
        self.well = False
        self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.well


def opened() -> tuple[Circuit, Ticks, Probe]:
    ticks, probe = Ticks(), Probe()
    circuit = Circuit(probe, ticks=ticks)
    for _ in range(SILENCES):
        with circuit.passage():
            circuit.silent()
    return circuit, ticks, probe


def enter(circuit: Circuit) -> None:
    with circuit.passage():
        pass


def test_who_finds_no_place_is_told_so_at_once_when_others_wait_for_long() -> None:
    ticks = Ticks()
    circuit = Circuit(Probe(), places=1, ticks=ticks)
    with circuit.passage():
        ticks.now += SLOW + 0.1
        with pytest.raises(HSMBusy) as busy:
            enter(circuit)
    assert busy.value.retry_after > 0
    enter(circuit)


def test_while_the_signer_is_well_a_newcomer_waits_a_moment_for_his_place() -> None:
    circuit = Circuit(Probe(), places=1)
    held, entered = Event(), Event()

    def holder() -> None:
        with circuit.passage():
            held.set()
            entered.wait(0.1)

    thread = Thread(target=holder)
    thread.start()
    held.wait(5)
    enter(circuit)
    thread.join()


def test_one_silence_is_no_outage_and_an_answer_takes_it_back() -> None:
    circuit = Circuit(Probe(), ticks=Ticks())
    for _ in range(3):
        circuit.silent()
        enter(circuit)
        circuit.answered()
        enter(circuit)


def test_an_open_circuit_turns_away_without_asking_until_it_has_rested() -> None:
    circuit, ticks, probe = opened()
    for _ in range(5):
        with pytest.raises(HSMUnavailable, match="does not answer in time"):
            enter(circuit)
    assert probe.asked == 0
    ticks.now += REST
    with pytest.raises(HSMUnavailable):
        enter(circuit)
    with pytest.raises(HSMUnavailable):
        enter(circuit)
    assert probe.asked == 1


def test_a_probe_that_finds_the_signer_well_closes_it() -> None:
    circuit, ticks, probe = opened()
    probe.well = True
    ticks.now += REST
    enter(circuit)
    enter(circuit)
    assert probe.asked == 1


def test_one_caller_probes_and_the_others_do_not_wait_for_it() -> None:
    inside, go = Event(), Event()

    def slow() -> bool:
        inside.set()
        return go.wait(5)

    ticks = Ticks()
    circuit = Circuit(slow, ticks=ticks)
    for _ in range(SILENCES):
        circuit.silent()
    ticks.now += REST
    prober = Thread(target=enter, args=(circuit,))
    prober.start()
    inside.wait(5)
    with pytest.raises(HSMUnavailable):
        enter(circuit)
    go.set()
    prober.join()
    enter(circuit)


def test_a_place_comes_back_whatever_happens_in_it() -> None:
    circuit = Circuit(Probe(), places=1, ticks=Ticks())
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), circuit.passage():
            raise ZeroDivisionError
    enter(circuit)
