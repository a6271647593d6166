"""CRL shards and OCSP marks. INC-02: numbers and times only rise. A revocation while signing is never lost."""

import threading

import pytest

from ca.errors import NotFound
from ca.records import SYSTEM, Issuer, Reason, Revocation
from ca.store import OcspMark, Store
from tests.ca.store.conftest import Issue
from tests.ca.store.things import DAY, NOW, intent, new_serial

HALF = NOW + DAY // 2


def revoke(store: Store, serial: int) -> None:
    store.revoke(Revocation("issuing-g1", serial, NOW, Reason.SUPERSEDED, SYSTEM, NOW + 90 * DAY))


# --- CRL shards ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("issuer")
def test_a_new_shard_is_due_until_published_and_again_at_half_of_its_life(store: Store) -> None:
    assert [state.shard for state in store.stale_shards(NOW)] == [0, 1]
    for shard in (0, 1):
        store.shard_published("issuing-g1", shard, 1, 7, NOW, NOW + DAY)
    assert store.stale_shards(HALF - 1) == ()
    assert [state.shard for state in store.stale_shards(HALF)] == [0, 1]
    assert store.shard("issuing-g1", 0).next_update == NOW + DAY
    with pytest.raises(NotFound):
        store.shard("issuing-g1", 9)


@pytest.mark.usefixtures("issuer")
def test_dirty_shards_come_before_ageing_ones(store: Store) -> None:
    for shard in (0, 1):
        store.shard_published("issuing-g1", shard, 1, 7, NOW, NOW + DAY)
    revoke(store, new_serial(1))
    assert [state.shard for state in store.stale_shards(HALF)] == [1, 0]


@pytest.mark.usefixtures("issuer")
def test_a_revocation_while_the_crl_is_signed_keeps_the_mark(store: Store) -> None:
    state = store.number_crl("issuing-g1", 0, NOW)
    revoke(store, new_serial(0))
    store.shard_published("issuing-g1", 0, state.generation, state.number, NOW, NOW + DAY)
    assert 0 in [one.shard for one in store.stale_shards(NOW)]
    state = store.number_crl("issuing-g1", 0, NOW)
    store.shard_published("issuing-g1", 0, state.generation, state.number, NOW, NOW + DAY)
    assert 0 not in [one.shard for one in store.stale_shards(NOW)]


@pytest.mark.usefixtures("issuer")
def test_l02_numbers_rise_whatever_the_clock_does(store: Store) -> None:
    numbers = [store.number_crl("issuing-g1", 0, at).number for at in (NOW, NOW, NOW + 1, NOW - 1000, NOW + 1)]
    assert numbers == [NOW * 1000, NOW * 1000 + 1, (NOW + 1) * 1000, (NOW + 1) * 1000 + 1, (NOW + 1) * 1000 + 2]
    with pytest.raises(NotFound):
        store.number_crl("issuing-g1", 9, NOW)


@pytest.mark.usefixtures("issuer")
def test_l02_no_two_runs_get_one_number(store: Store) -> None:
    taken: list[int] = []

    def take() -> None:
        taken.extend(store.number_crl("issuing-g1", 0, NOW).number for _ in range(10))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(set(taken)) == 40


@pytest.mark.usefixtures("issuer")
def test_inc02_an_older_run_never_sets_a_shard_back(store: Store) -> None:
    old = store.number_crl("issuing-g1", 0, NOW)
    revoke(store, new_serial(0))
    new = store.number_crl("issuing-g1", 0, NOW)
    store.shard_published("issuing-g1", 0, new.generation, new.number, NOW + 10, NOW + DAY)
    published = store.shard("issuing-g1", 0)
    store.shard_published("issuing-g1", 0, old.generation, old.number, NOW + 20, NOW + 2 * DAY)
    store.shard_published("issuing-g1", 0, new.generation, new.number, NOW, NOW + DAY)
    assert store.shard("issuing-g1", 0) == published


def test_a_revocation_of_a_foreign_serial_opens_its_shard(store: Store, issuer: Issuer) -> None:
    revoke(store, 0x1234)
    assert store.shard(issuer.id, 0xFFFF).generation == 1
    assert [one.serial for one in store.revoked(issuer.id, 0xFFFF, NOW)] == [0x1234]


# --- OCSP marks ---------------------------------------------------------------------------------


def test_an_answer_is_due_when_new_and_at_its_refresh_time(store: Store, issue: Issue) -> None:
    made = issue()
    assert store.ocsp_due(0, 10) == (OcspMark("issuing-g1", made.serial, 1),)
    store.ocsp_published("issuing-g1", made.serial, 1, NOW + DAY, HALF)
    assert store.ocsp_due(HALF - 1, 10) == ()
    assert len(store.ocsp_due(HALF, 10)) == 1


def test_revoked_and_new_ones_are_answered_first_and_the_limit_holds(store: Store, issue: Issue) -> None:
    ageing, revoked, new = issue(), issue(), issue()
    for one in (ageing, revoked):
        store.ocsp_published("issuing-g1", one.serial, 1, NOW + DAY, HALF)
    revoke(store, revoked.serial)
    due = [mark.serial for mark in store.ocsp_due(HALF, 10)]
    assert set(due[:2]) == {revoked.serial, new.serial}
    assert due[2] == ageing.serial
    assert len(store.ocsp_due(HALF, 2)) == 2


def test_a_revocation_while_the_answer_is_signed_keeps_the_mark(store: Store, issue: Issue) -> None:
    made = issue()
    mark = store.ocsp_mark("issuing-g1", made.serial)
    revoke(store, made.serial)
    store.ocsp_published("issuing-g1", made.serial, mark.generation, NOW + DAY, HALF)
    (due,) = store.ocsp_due(NOW, 10)
    assert due.generation == mark.generation + 1


def test_an_answer_that_outlives_its_certificate_is_the_last(store: Store, issue: Issue) -> None:
    made = issue(not_after=NOW + 3600)
    store.ocsp_published("issuing-g1", made.serial, 1, NOW + DAY, HALF)
    assert store.ocsp_due(NOW + 99 * DAY, 10) == ()
    revoke(store, made.serial)
    assert len(store.ocsp_due(NOW, 10)) == 1


def test_o03_open_intents_do_not_hide_in_the_due_list(store: Store, issue: Issue) -> None:
    for _ in range(3):
        store.begin(intent())
    made = issue()
    assert [mark.serial for mark in store.ocsp_due(NOW, 10)] == [made.serial]
