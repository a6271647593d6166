"""Holds, lists, stopwatches and mass revocations, on both databases."""

from dataclasses import replace

import pytest

from ca.errors import AlreadyRevoked, Conflict, NotFound
from ca.records import (
    ALL_SHARDS,
    SYSTEM,
    Issuer,
    MassRevocation,
    Query,
    Reason,
    Revocation,
    RevokeRequest,
)
from ca.store import Store
from tests.ca.store.conftest import Issue
from tests.ca.store.things import DAY, NOW, new_serial


def fact(serial: int, reason: Reason = Reason.SUPERSEDED, at: int = NOW) -> Revocation:
    return Revocation("issuing-g1", serial, at, reason, SYSTEM, NOW + DAY)


def hold(serial: int, at: int = NOW) -> Revocation:
    return fact(serial, Reason.CERTIFICATE_HOLD, at)


@pytest.mark.usefixtures("issuer")
def test_a_hold_is_taken_back_and_a_revocation_is_not(store: Store, issue: Issue) -> None:
    serial = issue().serial
    store.hold(hold(serial))
    assert store.revocation("issuing-g1", serial) == hold(serial)
    with pytest.raises(AlreadyRevoked):
        store.hold(hold(serial, NOW + 1))
    store.release_hold("issuing-g1", serial, NOW + 2)
    with pytest.raises(NotFound):
        store.revocation("issuing-g1", serial)
    with pytest.raises(Conflict):
        store.release_hold("issuing-g1", serial, NOW + 3)
    store.hold(hold(serial, NOW + 4))
    store.revoke(fact(serial, at=NOW + 9))
    assert store.revocation("issuing-g1", serial) == fact(serial, at=NOW + 4)
    with pytest.raises(AlreadyRevoked):
        store.release_hold("issuing-g1", serial, NOW + 10)
    assert store.certificate("issuing-g1", serial).revoked_at == NOW + 4


@pytest.mark.usefixtures("issuer")
def test_entries_are_written_once_and_anew_when_the_fact_changes(store: Store) -> None:
    first, second, third = sorted(new_serial(0) for _ in range(3))
    for one in (fact(first), hold(second), fact(third)):
        (store.hold if one.reason is Reason.CERTIFICATE_HOLD else store.revoke)(one)
    assert {one.serial for one in store.unwritten("issuing-g1", 0)} == {first, second, third}
    store.write_entries((one, b"entry %d" % one.serial) for one in store.unwritten("issuing-g1", ALL_SHARDS))
    assert store.unwritten("issuing-g1", 0) == ()
    wanted = [b"entry %d" % serial for serial in (first, second, third)]
    assert store.entries("issuing-g1", 0, NOW) == store.entries("issuing-g1", ALL_SHARDS, NOW) == (wanted, NOW)
    assert store.entries("issuing-g1", 0, NOW + DAY + 1) == ([], 0)
    store.revoke(fact(first, Reason.KEY_COMPROMISE))
    assert [one.reason for one in store.unwritten("issuing-g1", 0)] == [Reason.KEY_COMPROMISE]
    store.write_entries([(fact(first), b"late")])
    assert store.unwritten("issuing-g1", 0), "what was read before the change is not kept"
    generation = store.shard("issuing-g1", 0).generation
    store.release_hold("issuing-g1", second, NOW + 5)
    assert store.released_since("issuing-g1", 0, generation, NOW) == [(second, NOW + 5)]
    assert store.entries_since("issuing-g1", 0, generation, NOW) == []
    assert store.last_not_after("issuing-g1", 0) == NOW + DAY


def test_shards_are_opened_in_place_of_others(store: Store, issuer: Issuer) -> None:
    assert store.open_shards(issuer.id) == (0, 1)
    made = store.add_shards(issuer.id, 3)
    assert made == (2, 3, 4)
    store.open_instead(issuer.id, made)
    assert sorted(store.open_shards(issuer.id)) == [2, 3, 4]
    state = store.shard(issuer.id, 0)
    store.end_shard(issuer.id, 0, state.generation, NOW)
    assert store.shard(issuer.id, 0).ended_at == NOW
    assert 0 not in [one.shard for one in store.stale_shards(NOW)]
    assert ALL_SHARDS in [one.shard for one in store.stale_shards(NOW, full_made=NOW - DAY)]
    store.revoke(fact(new_serial(0)))
    assert 0 in [one.shard for one in store.stale_shards(NOW)], "news begin it again"


@pytest.mark.usefixtures("issuer")
def test_a_stopwatch_knows_until_when_the_good_answer_lasts(store: Store, issue: Issue) -> None:
    serial = issue().serial
    store.ocsp_published("issuing-g1", serial, 1, NOW + 2 * DAY, NOW + DAY)
    store.start_stopwatch(fact(serial), NOW)
    running = store.stopwatch("issuing-g1", serial)
    assert (running.good_until, running.runs) == (NOW + 2 * DAY, True)
    assert store.running_stopwatches(NOW) == (running,)
    store.stop_stopwatch(replace(running, ocsp_ms=7))
    store.stop_stopwatch(replace(running, ocsp_ms=9, crl_ms=11))
    assert (store.stopwatch("issuing-g1", serial).ocsp_ms, store.slow_revocations(NOW + 1, NOW)) == (7, 0)
    store.start_stopwatch(fact(serial), NOW + 5)
    store.stop_stopwatch(replace(running, ocsp_ms=1, crl_ms=1))
    assert store.stopwatch("issuing-g1", serial).runs, "a look at the revocation before says nothing"


def test_a_mass_revocation_moves_once(store: Store) -> None:
    request = RevokeRequest(Reason.SUPERSEDED, SYSTEM, "many")
    mass = MassRevocation("m1", Query(owner="payments"), request, "running", 5, created_at=NOW, updated_at=NOW)
    store.add_mass(mass)
    assert store.mass("m1") == mass
    moved = replace(mass, revoked=3, cursor="next", updated_at=NOW + 1)
    store.move_mass(mass, moved)
    with pytest.raises(Conflict):
        store.move_mass(mass, moved)
    assert store.running_masses(NOW + 1) == store.masses() == (moved,)
    store.move_mass(moved, replace(moved, state="done"))
    assert store.running_masses(NOW + 9) == ()
