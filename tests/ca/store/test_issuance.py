"""Intents and their one end. INC-05: each serial that a key may have signed has a status. INC-06: unique serials."""

import multiprocessing
import os
import signal
import threading
from dataclasses import replace

import pytest

from ca.errors import Abandoned, Conflict, NotFound
from ca.records import SYSTEM, Reason, Revocation
from ca.store import Store
from tests.ca.store.things import DAY, NOW, certificate, crashing, intent, new_serial


def test_an_intent_comes_back_as_it_was_written(store: Store) -> None:
    one = intent(0, "a.example.test", "*.example.test", order="o1", account="a1", common_name="a.example.test")
    store.begin(one)
    assert store.intent(one.id) == one
    assert store.open_intents(NOW + 1) == (one,)
    assert store.open_intents(NOW) == ()


def test_finish_stores_the_certificate_and_ends_the_intent(store: Store) -> None:
    one = intent()
    made = certificate(one)
    store.begin(one)
    store.finish(one.id, made)
    assert store.certificate("issuing-g1", one.serial) == made == store.by_serial(one.serial)
    assert store.by_sha256(made.sha256.upper()) == made
    assert store.intent(one.id).state == "issued"
    assert store.open_intents(NOW + 1) == ()


def test_inc06_a_serial_is_used_once_by_an_issuer(store: Store) -> None:
    one = intent()
    store.begin(one)
    with pytest.raises(Conflict):
        store.begin(intent(one.serial))
    store.begin(replace(intent(one.serial), issuer="issuing-g2"))


def test_inc06_a_withdrawn_or_abandoned_serial_stays_used(store: Store) -> None:
    one, other = intent(), intent()
    store.begin(one)
    store.begin(other)
    store.withdraw(one.id)
    assert store.abandon(other.id)
    for used in (one, other):
        with pytest.raises(Conflict):
            store.begin(intent(used.serial))


def test_finish_refuses_what_is_not_the_intents(store: Store) -> None:
    one = intent()
    store.begin(one)
    with pytest.raises(Abandoned):
        store.finish(one.id, certificate(replace(one, serial=new_serial())))
    with pytest.raises(Abandoned):
        store.finish(one.id, certificate(replace(one, issuer="issuing-g2")))
    with pytest.raises(Abandoned):
        store.finish("no-such-intent", certificate(one))
    with pytest.raises(NotFound):
        store.by_serial(one.serial)
    assert store.intent(one.id).state == "open"


def test_each_end_excludes_the_others(store: Store) -> None:
    issued, abandoned, withdrawn = intent(), intent(), intent()
    for one in (issued, abandoned, withdrawn):
        store.begin(one)
    store.finish(issued.id, certificate(issued))
    assert store.abandon(abandoned.id)
    store.withdraw(withdrawn.id)
    for ended in (issued, abandoned, withdrawn):
        assert not store.abandon(ended.id)
        with pytest.raises(Abandoned):
            store.finish(ended.id, certificate(ended))
        with pytest.raises(Abandoned):
            store.withdraw(ended.id)
    assert store.orphans() == (replace(abandoned, state="abandoned"),)
    assert store.certificate("issuing-g1", issued.serial)


def test_a_rolled_back_transaction_leaves_nothing(store: Store) -> None:
    one = intent()
    with crashing(store):
        store.begin(one)
        store.finish(one.id, certificate(one))
    with pytest.raises(NotFound):
        store.intent(one.id)
    with pytest.raises(NotFound):
        store.by_serial(one.serial)


@pytest.mark.parametrize("round_", range(5))
def test_of_sweep_and_transaction_b_exactly_one_wins(store: Store, round_: int) -> None:
    """Two connections meet at one open intent; whoever loses learns of it and changes nothing."""
    rounds = [intent() for _ in range(6)]
    for one in rounds:
        store.begin(one)
    meet = threading.Barrier(2)
    swept: list[bool] = []
    issued: list[bool] = []

    def sweep() -> None:
        for one in rounds:
            meet.wait(10)
            with store.transaction():
                swept.append(store.abandon(one.id))

    def finish() -> None:
        for one in rounds:
            made = certificate(one)
            meet.wait(10)
            try:
                with store.transaction():
                    store.finish(one.id, made)
                issued.append(True)
            except Abandoned:
                issued.append(False)

    threads = [threading.Thread(target=sweep), threading.Thread(target=finish)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [a != b for a, b in zip(swept, issued, strict=True)] == [True] * len(rounds)
    states = [store.intent(one.id).state for one in rounds]
    assert states == ["abandoned" if gone else "issued" for gone in swept]


# --- OCSP marks of intents ----------------------------------------------------------------------


def test_o03_an_open_intent_is_never_answered(store: Store) -> None:
    one = intent()
    store.begin(one)
    assert store.ocsp_due(NOW + DAY, 10) == ()
    with pytest.raises(NotFound):
        store.ocsp_mark("issuing-g1", one.serial)
    store.finish(one.id, certificate(one))
    assert store.ocsp_due(NOW, 10) == (store.ocsp_mark("issuing-g1", one.serial),)


def test_o03_an_abandoned_serial_is_answered_as_revoked(store: Store) -> None:
    one = intent()
    store.begin(one)
    with store.transaction():
        assert store.abandon(one.id)
        store.revoke(Revocation("issuing-g1", one.serial, NOW, Reason.UNSPECIFIED, SYSTEM, one.not_after))
    (mark,) = store.ocsp_due(NOW, 10)
    assert (mark.serial, mark.generation) == (one.serial, 2)
    assert store.revocation("issuing-g1", one.serial).revoked_at == NOW


def test_no_revocation_profiles_and_withdrawn_intents_have_no_answers(store: Store) -> None:
    short, withdrawn = intent(), intent()
    store.begin(short, answered=False)
    store.finish(short.id, certificate(short))
    store.begin(withdrawn)
    store.withdraw(withdrawn.id)
    assert store.ocsp_due(NOW, 10) == ()
    for one in (short, withdrawn):
        with pytest.raises(NotFound):
            store.ocsp_mark("issuing-g1", one.serial)


# --- crashes ------------------------------------------------------------------------------------


def _die_between(url: str, begun: object, ready: object) -> None:
    store = Store.open(url)
    store.begin(begun)  # type: ignore[arg-type]
    with store.transaction():
        store.finish(begun.id, certificate(begun))  # type: ignore[attr-defined, arg-type]
        ready.set()  # type: ignore[attr-defined]
        signal.pause()


def test_kill_9_between_begin_and_finish_leaves_a_findable_orphan(store: Store, store_url: str) -> None:
    one = intent()
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    child = context.Process(target=_die_between, args=(store_url, one, ready))
    child.start()
    assert ready.wait(30)
    os.kill(child.pid or 0, signal.SIGKILL)
    child.join(10)
    assert store.open_intents(NOW + 1) == (one,)
    with pytest.raises(NotFound):
        store.by_serial(one.serial)
    assert store.abandon(one.id)
    assert [orphan.serial for orphan in store.orphans()] == [one.serial]
