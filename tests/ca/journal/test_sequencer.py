"""The sequencer: dense indexes for committed entries, one at a time, a signed head at the end."""

import hashlib
import threading

import pytest

from ca.errors import HSMUnavailable, JournalBroken, LeaseLost
from ca.journal import sequence
from ca.journal.sequencer import BATCH
from ca.keys.checkpoint import parse_checkpoint
from ca.records import Event
from ca.store import Leaf, Store
from tests.ca.journal.conftest import ALICE, Desk


def test_the_chain_is_what_the_documents_say(desk: Desk) -> None:
    desk.record(3)
    assert desk.sequence() == 3
    chain = bytes(32)
    for number, chained in enumerate(desk.store.chained(0, 10)):
        assert chained.row is not None
        leaf = hashlib.sha256(b"\x00" + chained.row.body).digest()
        chain = hashlib.sha256(b"\x01" + chain + leaf).digest()
        assert (chained.leaf.index, chained.leaf.hash, chained.leaf.chain) == (number, leaf, chain)
    head = desk.store.last_head()
    assert (head.size, head.hash, head.key_id, head.time) == (3, chain, "journal-g1", desk.clock())


def test_the_head_is_a_signed_canonical_checkpoint(desk: Desk) -> None:
    signed: list[bytes] = []

    def sign(text: bytes) -> bytes:
        assert not desk.store.in_transaction()
        signed.append(text)
        return desk.key.sign(text)

    desk.record(2)
    sequence(desk.store, sign, desk.clock, 0, "journal-g1", "pki.example.test/audit")
    (text,) = signed
    checkpoint = parse_checkpoint(text)
    assert (checkpoint.origin, checkpoint.size) == ("pki.example.test/audit", 2)
    assert checkpoint.head == desk.store.last_head().hash
    desk.key.public_key().verify(desk.store.last_head().signature, text)


def test_nothing_new_is_nothing_to_sign(desk: Desk) -> None:
    assert desk.sequence() == 0
    desk.record(1)
    assert [desk.sequence(), desk.sequence()] == [1, 0]
    assert len(desk.store.heads(0, 10)) == 1


def test_many_entries_are_chained_in_batches_under_one_head(desk: Desk) -> None:
    with desk.store.transaction():
        for number in range(2 * BATCH + 5):
            desk.journal.append(Event("token.revoked", ALICE, f"token:t{number}"))
    assert desk.sequence() == 2 * BATCH + 5
    assert [head.size for head in desk.store.heads(0, 10)] == [2 * BATCH + 5]
    assert desk.verify().size == 2 * BATCH + 5


def test_entries_that_commit_late_are_not_lost(desk: Desk) -> None:
    """On PostgreSQL a lower id may be committed after a higher one was chained."""
    inside, go_on = threading.Event(), threading.Event()

    def late() -> None:
        with desk.store.transaction():
            desk.journal.append(Event("token.created", ALICE, "token:late"))
            inside.set()
            go_on.wait(20)

    slow = threading.Thread(target=late)
    slow.start()
    assert inside.wait(20)
    if desk.store._dialect.placeholder != "?":  # SQLite has one writer, so nobody overtakes
        desk.record(2)
        assert desk.sequence() == 2
    go_on.set()
    slow.join(20)
    desk.record(1)
    assert desk.sequence() == 2
    assert desk.store.rows("SELECT count(*) FROM journal_queue") == [(0,)]
    assert desk.verify().unsigned == 0


def test_a_signer_that_is_away_leaves_the_chain_ahead_of_its_head(desk: Desk) -> None:
    def away(text: bytes) -> bytes:
        raise HSMUnavailable("gone")

    desk.record(2)
    desk.sequence()
    desk.record(3)
    with pytest.raises(HSMUnavailable):
        sequence(desk.store, away, desk.clock, 0, "journal-g1")
    report = desk.verify()
    assert (report.size, report.signed, report.unsigned) == (5, 2, 3)
    assert desk.sequence() == 0
    report = desk.verify()
    assert (report.signed, report.unsigned, report.heads) == (5, 0, 2)


def test_an_old_fence_is_refused_and_changes_nothing(desk: Desk) -> None:
    desk.record(1)
    assert desk.sequence(fence=7) == 1
    desk.record(1)
    with pytest.raises(LeaseLost):
        desk.sequence(fence=6)
    assert desk.verify().size == 1
    assert desk.sequence(fence=7) == 1
    desk.record(1)
    assert desk.sequence() == 1
    with pytest.raises(LeaseLost):
        desk.sequence(fence=6)


def test_a_fence_lost_while_signing_stores_no_head(desk: Desk) -> None:
    def overtaken(text: bytes) -> bytes:
        with desk.store.transaction():
            desk.store.lock_journal(9)
        return desk.key.sign(text)

    desk.record(1)
    with pytest.raises(LeaseLost):
        sequence(desk.store, overtaken, desk.clock, 8, "journal-g1")
    assert desk.store.heads(0, 10) == ()
    desk.sequence(fence=9)
    assert desk.verify().unsigned == 0


def test_sequencers_at_once_make_one_chain(desk: Desk) -> None:
    done: list[int] = []

    def writer() -> None:
        desk.record(15)

    def sequencer() -> None:
        done.extend(desk.sequence() for _ in range(6))

    threads = [threading.Thread(target=target) for target in (writer, writer, sequencer, sequencer)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    done.append(desk.sequence())
    assert sum(done) == 30
    report = desk.verify()
    assert (report.size, report.unsigned, report.waiting) == (30, 0, 0)


def test_nothing_is_built_on_a_chain_that_was_cut(desk: Desk) -> None:
    desk.record(3)
    desk.sequence()
    desk.tamper('DELETE FROM journal_leaf WHERE "index" = 2')
    desk.record(1)
    with pytest.raises(JournalBroken):
        desk.sequence()
    assert desk.store.last_leaf().index == 1
    assert desk.store.backlog().count == 1


def test_a_sequencer_that_is_overtaken_raises_no_false_alarm(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two looks at the end of the chain another one chains and signs more: that is no broken journal."""
    desk.record(3)
    look, turns = type(desk.store).last_leaf, [1]

    def overtaken(store: Store) -> Leaf:
        leaf = look(store)
        if not store.in_transaction() and turns:
            turns.pop()
            desk.record(2)
            desk.sequence()
        return leaf

    monkeypatch.setattr(type(desk.store), "last_leaf", overtaken)
    assert desk.sequence() == 3
    assert not turns
    assert desk.verify().signed == 5
