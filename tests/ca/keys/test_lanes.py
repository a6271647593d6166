"""Turns at the token: urgent lanes first, floods starve nobody, everything is bounded."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest

from ca.errors import HSMBusy
from ca.keys.signer.lanes import LANES, Lane, Lanes
from ca.records import SignKind


@contextmanager
def occupied(lanes: Lanes) -> Iterator[None]:
    """All of one place is taken for the body."""
    taken, leave = Event(), Event()

    def occupy() -> None:
        with lanes.turn(Lane.OCSP, 5):
            taken.set()
            leave.wait(10)

    thread = Thread(target=occupy)
    thread.start()
    assert taken.wait(5)
    yield
    leave.set()
    thread.join()


def order_of(lanes: Lanes, wanted: list[Lane]) -> list[Lane]:
    """The order in which requests that all wait already get the one place."""
    came: list[Lane] = []

    def ask(lane: Lane) -> None:
        with lanes.turn(lane, 10):
            came.append(lane)

    threads = []
    with occupied(lanes):
        for number, lane in enumerate(wanted):
            threads.append(Thread(target=ask, args=(lane,)))
            threads[-1].start()
            while sum(lanes.waiting().values()) <= number:
                time.sleep(0.001)
    for thread in threads:
        thread.join()
    return came


def test_the_urgent_overtake_a_flood() -> None:
    came = order_of(Lanes(1, 100), [Lane.OCSP] * 40 + [Lane.ISSUANCE] * 4 + [Lane.URGENT] * 4)
    assert Counter(came[:9])[Lane.URGENT] == 4
    assert Counter(came[:12])[Lane.ISSUANCE] >= 3


def test_a_flood_of_the_urgent_starves_nobody() -> None:
    came = order_of(Lanes(1, 100), [Lane.URGENT] * 60 + [Lane.ISSUANCE] * 5 + [Lane.OCSP] * 2)
    assert Counter(came[:22])[Lane.ISSUANCE] >= 3
    assert Lane.OCSP in came[:25]
    assert Counter(came) == {Lane.URGENT: 60, Lane.ISSUANCE: 5, Lane.OCSP: 2}


def test_an_idle_lane_saves_nothing_up() -> None:
    """Otherwise a lane that slept for a day would hold all places for an hour."""
    lanes = Lanes(1, 100)
    for _ in range(200):
        with lanes.turn(Lane.ISSUANCE, 1):
            pass
    came = order_of(lanes, [Lane.OCSP] * 20 + [Lane.ISSUANCE] * 20)
    assert Counter(came[:10])[Lane.ISSUANCE] >= 6


def test_a_full_lane_says_busy_and_the_others_do_not() -> None:
    lanes = Lanes(1, 2)
    threads = []
    with occupied(lanes):
        for _ in range(2):
            threads.append(Thread(target=lambda: lanes.turn(Lane.OCSP, 5).__enter__()))
            threads[-1].start()
        while lanes.waiting()["ocsp"] < 2:
            time.sleep(0.001)
        with pytest.raises(HSMBusy, match="2 requests wait"), lanes.turn(Lane.OCSP, 5):
            pass
        with pytest.raises(HSMBusy, match="No turn came"), lanes.turn(Lane.URGENT, 0.01):
            pass
        assert lanes.waiting() == {"urgent": 0, "issuance": 0, "ocsp": 2}


def test_a_turn_ends_with_its_body_also_by_an_error() -> None:
    lanes = Lanes(1, 1)
    for _ in range(3):
        with pytest.raises(ValueError, match="mine"), lanes.turn(Lane.URGENT, 0.1):
            raise ValueError("mine")


def test_each_kind_has_a_lane() -> None:
    assert set(LANES) == set(SignKind)
