"""Calls into the module: each has its time, and one that overruns it is known."""

import pytest

from ca.keys.signer.calls import Calls


class Ticks:
    """A monotonic clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_call_is_slow_then_overdue_and_forgotten_when_it_ends() -> None:
    ticks = Ticks()
    calls = Calls(ticks)
    with calls.under_way(10), calls.under_way(180):
        ticks.now += 2
        assert (calls.longest(), calls.slow(), calls.overdue()) == (2, 0, 0)
        ticks.now += 1
        assert (calls.longest(), calls.slow(), calls.overdue()) == (3, 3, 0)
        ticks.now += 8
        assert (calls.longest(), calls.slow(), calls.overdue()) == (11, 11, 11)
    assert (calls.longest(), calls.slow(), calls.overdue()) == (0, 0, 0)


def test_a_call_that_fails_has_ended_too() -> None:
    calls = Calls()
    with pytest.raises(ZeroDivisionError), calls.under_way(10):
        raise ZeroDivisionError
    assert calls.longest() == 0
