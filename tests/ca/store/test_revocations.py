"""Revocation facts. INC-04: one fact, two renderings. INC-10, INC-12: nothing takes evidence away."""

import threading
from dataclasses import replace

import pytest

from ca.errors import AlreadyRevoked, NotFound
from ca.records import SYSTEM, Actor, Issuer, Reason, Revocation
from ca.store import Store
from tests.ca.store.conftest import Issue
from tests.ca.store.things import DAY, NOW, certificate, crashing, intent, new_serial

ALICE = Actor("operator", "alice", "passkey")


def fact(serial: int, reason: Reason = Reason.SUPERSEDED, at: int = NOW, not_after: int = NOW + DAY) -> Revocation:
    return Revocation("issuing-g1", serial, at, reason, ALICE, not_after, "laptop lost", NOW - 5)


@pytest.mark.usefixtures("issuer")
def test_a_revocation_is_one_fact_that_marks_everything(store: Store, issue: Issue) -> None:
    made = issue()
    store.ocsp_published("issuing-g1", made.serial, 1, NOW + DAY, NOW + DAY // 2)
    store.shard_published("issuing-g1", 0, 1, 5, NOW, NOW + 7 * DAY)
    store.shard_published("issuing-g1", 1, 1, 5, NOW, NOW + 7 * DAY)
    assert store.ocsp_due(NOW, 10) == ()
    assert store.stale_shards(NOW) == ()
    store.revoke(fact(made.serial))
    assert store.revocation("issuing-g1", made.serial) == fact(made.serial)
    assert store.certificate("issuing-g1", made.serial).status(NOW) == "revoked"
    assert store.certificate("issuing-g1", made.serial).reason == "superseded"
    assert [(m.serial, m.generation) for m in store.ocsp_due(NOW, 10)] == [(made.serial, 2)]
    assert [(s.shard, s.generation, s.published_generation) for s in store.stale_shards(NOW)] == [(0, 2, 1)]


def test_a_second_revocation_is_refused_and_changes_nothing(store: Store, issue: Issue) -> None:
    made = issue()
    store.revoke(fact(made.serial))
    before = store.shard("issuing-g1", 0), store.ocsp_mark("issuing-g1", made.serial)
    for reason in (Reason.SUPERSEDED, Reason.UNSPECIFIED):
        with pytest.raises(AlreadyRevoked):
            store.revoke(fact(made.serial, reason, NOW + 9))
    assert store.revocation("issuing-g1", made.serial) == fact(made.serial)
    assert (store.shard("issuing-g1", 0), store.ocsp_mark("issuing-g1", made.serial)) == before


def test_inc04_an_upgrade_to_key_compromise_reaches_both_renderings(store: Store, issue: Issue) -> None:
    made = issue()
    store.revoke(fact(made.serial))
    shard, mark = store.shard("issuing-g1", 0), store.ocsp_mark("issuing-g1", made.serial)
    store.revoke(fact(made.serial, Reason.KEY_COMPROMISE, NOW + 9))
    now = store.revocation("issuing-g1", made.serial)
    assert (now.reason, now.revoked_at) == (Reason.KEY_COMPROMISE, NOW)
    assert store.revoked("issuing-g1", 0, NOW) == (now,)
    assert store.certificate("issuing-g1", made.serial).reason == "keyCompromise"
    assert store.certificate("issuing-g1", made.serial).revoked_at == NOW
    assert store.shard("issuing-g1", 0).generation == shard.generation + 1
    assert store.ocsp_mark("issuing-g1", made.serial).generation == mark.generation + 1
    with pytest.raises(AlreadyRevoked):
        store.revoke(fact(made.serial, Reason.KEY_COMPROMISE, NOW + 10))
    with pytest.raises(AlreadyRevoked):
        store.revoke(fact(made.serial, Reason.SUPERSEDED, NOW + 11))


def test_inc12_evidence_needs_no_certificate_and_outlives_it(store: Store, issue: Issue) -> None:
    unknown, made = new_serial(), issue()
    store.revoke(fact(unknown))
    store.revoke(fact(made.serial))
    store.change("DELETE FROM certificate_name")
    store.change("DELETE FROM certificate_parent")
    store.change("DELETE FROM certificate")
    store.change("DELETE FROM intent")
    store.change("DELETE FROM ocsp")
    held = {one.serial for one in store.revoked("issuing-g1", 0, NOW)}
    assert held == {unknown, made.serial}
    assert store.revocation("issuing-g1", unknown).comment == "laptop lost"
    assert store.not_after("issuing-g1", made.serial) == NOW + DAY


def test_inc10_no_clean_up_of_the_store_touches_a_revocation(store: Store, issue: Issue) -> None:
    made = issue()
    store.revoke(fact(made.serial))
    before = store.rows("SELECT * FROM revocation")
    store.expire_idempotency(NOW + 999 * DAY)
    store.erase_personal(1)
    for orphan in store.open_intents(NOW + 999 * DAY):
        store.abandon(orphan.id)
    assert store.rows("SELECT * FROM revocation") == before
    assert store.revoked("issuing-g1", 0, NOW)


def test_l07_a_shard_holds_its_own_unexpired_entries_in_order(store: Store) -> None:
    here = [new_serial(0) for _ in range(5)]
    there, expired = new_serial(1), new_serial(0)
    for serial in (*here, there):
        store.revoke(fact(serial))
    store.revoke(fact(expired, not_after=NOW - 1))
    assert [one.serial for one in store.revoked("issuing-g1", 0, NOW)] == sorted(here)
    assert [one.serial for one in store.revoked("issuing-g1", 1, NOW)] == [there]
    assert len(store.revoked("issuing-g1", 0, NOW - 1)) == 6
    assert store.revoked("issuing-g2", 0, NOW) == ()


def test_the_end_of_a_serial_is_known_from_any_record(store: Store, issue: Issue) -> None:
    made, open_one = issue(), intent()
    store.begin(open_one)
    assert store.not_after("issuing-g1", made.serial) == made.not_after
    assert store.not_after("issuing-g1", open_one.serial) == open_one.not_after
    with pytest.raises(NotFound):
        store.not_after("issuing-g1", new_serial())


def test_of_many_who_revoke_at_once_one_succeeds(store: Store, issue: Issue) -> None:
    made = issue()
    outcomes: list[str] = []
    meet = threading.Barrier(4)

    def revoke(comment: str) -> None:
        meet.wait(10)
        try:
            store.revoke(replace(fact(made.serial), comment=comment))
            outcomes.append(comment)
        except AlreadyRevoked:
            outcomes.append("")

    threads = [threading.Thread(target=revoke, args=(f"by {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    (winner,) = [one for one in outcomes if one]
    assert len(outcomes) == 4
    assert store.revocation("issuing-g1", made.serial).comment == winner
    assert store.ocsp_mark("issuing-g1", made.serial).generation == 2


def test_the_sweep_and_the_revocation_are_one_transaction(store: Store) -> None:
    one = intent()
    store.begin(one)
    with crashing(store):
        store.abandon(one.id)
        store.revoke(Revocation("issuing-g1", one.serial, NOW, Reason.UNSPECIFIED, SYSTEM, one.not_after))
    assert store.intent(one.id).state == "open"
    with pytest.raises(NotFound):
        store.revocation("issuing-g1", one.serial)
    store.finish(one.id, certificate(one))


def test_roots_are_left_to_their_ceremony(store: Store) -> None:
    store.add_issuer(Issuer("root-g1", "root", "root", "root-g1", b"der"))
    store.revoke(replace(fact(new_serial()), issuer="root-g1"))
    assert store.stale_shards(NOW) == ()
    assert store.shard("root-g1", 0).generation == 2
