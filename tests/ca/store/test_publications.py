"""Publication rows. INC-02: no updater publishes older data than the run before."""

import threading
from dataclasses import replace

import pytest

from ca.errors import NotFound, StalePublication
from ca.records import Publication
from ca.store import Store
from tests.ca.store.things import NOW

CRL = Publication("crl/issuing-g1/0000.crl", b"\x30\x01", 5, "application/pkix-crl", NOW, NOW + 60, fence=3)


def test_what_is_put_can_be_got_with_its_place_in_the_sequence(store: Store) -> None:
    seq = store.put(CRL)
    assert store.get(CRL.path) == replace(CRL, seq=seq)
    assert store.after(0) == (replace(CRL, seq=seq),)
    assert store.after(seq) == ()
    assert store.last_seq() == seq
    with pytest.raises(NotFound):
        store.get("crl/issuing-g1/0001.crl")


@pytest.mark.parametrize(
    ("version", "fence"), [(5, 3), (4, 3), (4, 9), (5, 0), (6, 2), (1, 1)], ids=lambda value: str(value)
)
def test_inc02_not_above_is_refused(store: Store, version: int, fence: int) -> None:
    store.put(CRL)
    before = store.get(CRL.path)
    with pytest.raises(StalePublication):
        store.put(replace(CRL, body=b"other", version=version, fence=fence))
    assert store.get(CRL.path) == before


def test_a_publisher_without_lease_passes_by_version_and_keeps_the_fence(store: Store) -> None:
    store.put(CRL)
    store.put(replace(CRL, version=6, fence=0))
    assert store.get(CRL.path).fence == 3
    with pytest.raises(StalePublication):
        store.put(replace(CRL, version=7, fence=2))


def test_a_refusal_leaves_the_transaction_usable(store: Store) -> None:
    store.put(CRL)
    with store.transaction():
        with pytest.raises(StalePublication):
            store.put(CRL)
        store.put(replace(CRL, path="roots.pem"))
    assert [one.path for one in store.after(0)] == [CRL.path, "roots.pem"]


def test_a_feeder_misses_nothing_while_publishers_race(store: Store) -> None:
    """Places in the sequence become visible in order, even when transactions end in another one."""
    stop = threading.Event()
    seen: list[int] = []

    def feed() -> None:
        last = 0
        while not stop.is_set() or store.after(last):
            for one in store.after(last, 3):
                seen.append(one.seq)
                last = one.seq

    def publish(lane: int) -> None:
        for n in range(12):
            with store.transaction():
                store.put(replace(CRL, path=f"ocsp/{lane}/{n}"))
                store.put(replace(CRL, path=f"ocsp/{lane}/{n}b"))

    feeder = threading.Thread(target=feed)
    lanes = [threading.Thread(target=publish, args=(lane,)) for lane in range(3)]
    for thread in (feeder, *lanes):
        thread.start()
    for thread in lanes:
        thread.join(60)
    stop.set()
    feeder.join(60)
    assert len(seen) == 72
    assert seen == sorted(seen)


def test_answers_that_ended_are_dropped_and_nothing_else(store: Store) -> None:
    ended = Publication("ocsp/aa/01", b"x", 1, "application/ocsp-response", NOW - 20, NOW - 10)
    for one in (ended, replace(ended, path="ocsp/aa/02"), replace(ended, path="ocsp/aa/03", fresh_until=NOW)):
        store.put(one)
    store.put(replace(CRL, fresh_until=NOW - 10))
    store.put(replace(ended, path="ocsp/aa/04", fresh_until=0))
    assert [store.drop_answers(NOW, limit=1) for _ in range(3)] == [1, 1, 0]
    assert {one.path for one in store.after(0)} == {"ocsp/aa/03", "ocsp/aa/04", CRL.path}
