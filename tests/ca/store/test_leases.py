"""Leases: one runner, by the database's time, and a fencing token that only rises."""

import threading
import time

import pytest

from ca.errors import LeaseLost
from ca.store import Lease, Store


def expire(store: Store, name: str) -> None:
    store.change("UPDATE lease SET expires_at = {now} - 1 WHERE name = ?", name)


def test_one_holder_until_it_ends(store: Store) -> None:
    held = store.acquire("scheduler", "a", 30)
    assert (held.fence, held.life) == (1, 30)
    assert abs(held.expires_at - store.now() - 30) <= 1
    with pytest.raises(LeaseLost):
        store.acquire("scheduler", "b", 30)
    assert store.acquire("other", "b", 30).fence == 1
    assert store.renew(held).fence == held.fence
    expire(store, "scheduler")
    assert store.acquire("scheduler", "b", 30).fence == 2
    for late in (store.renew, store.release, store.check):
        with pytest.raises(LeaseLost):
            late(held)


def test_the_fence_rises_over_release_and_restart(store: Store) -> None:
    first = store.acquire("scheduler", "a", 30)
    restarted = store.acquire("scheduler", "a", 30)
    store.release(restarted)
    assert store.acquire("scheduler", "b", 30).fence > restarted.fence > first.fence
    with pytest.raises(LeaseLost):
        store.renew(first)


@pytest.mark.slow
def test_a_lease_ends_by_the_database_clock(store: Store) -> None:
    held = store.acquire("scheduler", "a", 1)
    time.sleep(2.1)
    with pytest.raises(LeaseLost):
        store.check(held)
    assert store.acquire("scheduler", "b", 5).fence == 2


def test_of_many_one_gets_it(store: Store) -> None:
    won: list[Lease] = []
    meet = threading.Barrier(5)

    def acquire(holder: str) -> None:
        meet.wait(10)
        try:
            won.append(store.acquire("scheduler", holder, 30))
        except LeaseLost:
            return

    threads = [threading.Thread(target=acquire, args=(f"node-{n}",)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(won) == 1


@pytest.mark.slow
def test_whoever_checked_cannot_lose_it_before_the_commit(store: Store) -> None:
    """The check locks the lease: a successor waits for the transaction, then gets a higher fence."""
    held = store.acquire("scheduler", "a", 1)
    order: list[str] = []

    def succeed() -> None:
        while True:
            try:
                store.acquire("scheduler", "b", 30)
            except LeaseLost:
                time.sleep(0.05)
            else:
                order.append("b took it")
                return

    with store.transaction():
        store.check(held)
        successor = threading.Thread(target=succeed)
        successor.start()
        time.sleep(2.2)
        order.append("a commits")
    successor.join(20)
    assert order == ["a commits", "b took it"]
