"""One runner across nodes: whoever holds the lease runs, and a fence that is older never wins."""

import time

import pytest

from ca.errors import LeaseLost, StoreUnavailable
from ca.store import Store
from scheduler.lease import Lease

pytestmark = pytest.mark.slow


@pytest.fixture
def node(store_url):
    """Makes nodes, each with a store of its own, and ends them all."""
    made: list[tuple[Lease, Store]] = []

    def make(holder: str, life: int = 5) -> Lease:
        store = Store.open(store_url)
        made.append((Lease(store, holder, life), store))
        return made[-1][0]

    yield make
    for lease, store in made:
        if lease._thread.is_alive():
            lease.stop()
        store.close()


def eventually(what, seconds: float = 10.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            return what()
        except LeaseLost:
            time.sleep(0.02)
    return what()


def test_before_the_start_nobody_runs(node):
    with pytest.raises(LeaseLost):
        node("a").fence()


def test_the_first_runs_and_the_second_waits(node):
    first, second = node("a"), node("b")
    first.start()
    second.start()
    assert first.fence() > 0
    with pytest.raises(LeaseLost):
        second.fence()


def test_it_is_renewed_in_the_background(node):
    first, second = node("a", life=3), node("b", life=3)
    first.start()
    second.start()
    time.sleep(4)
    assert first.fence() > 0
    with pytest.raises(LeaseLost):
        second.fence()


def test_given_back_the_next_takes_over_at_once_with_a_higher_fence(node):
    first, second = node("a", life=30), node("b", life=3)
    first.start()
    before = first.fence()
    second.start()
    first.stop()
    assert eventually(second.fence) > before


def test_a_node_that_hangs_loses_it_by_its_own_clock(node):
    """It cannot reach the database, so nobody tells it: its own monotonic end comes first."""
    first = node("a", life=2)
    first._ask()
    assert first.fence() > 0
    time.sleep(1.05)  # a second before the database's end
    with pytest.raises(LeaseLost):
        first.fence()
    second = node("b", life=5)
    second.start()
    assert eventually(second.fence) > 0
    first._ask()
    with pytest.raises(LeaseLost):
        first.fence()


def test_a_database_that_is_away_for_a_moment_costs_nothing(node, monkeypatch):
    first = node("a", life=30)
    first.start()
    fence = first.fence()

    def away(*_):
        raise StoreUnavailable("The database is busy.")

    with monkeypatch.context() as patched:
        patched.setattr(first._records, "renew", away)
        first._ask()
    assert first.fence() == fence
