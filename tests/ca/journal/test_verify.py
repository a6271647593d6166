"""Each tampering is found, with its place (JOURNAL.md). Erasure and waiting are no tampering."""

import multiprocessing
import os
import random
import signal
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from ca.errors import JournalBroken
from ca.journal import Journal, verify
from ca.journal.chain import EMPTY, leaf_hash, link
from ca.records import Event
from ca.store import Store
from tests.ca.journal.conftest import ALICE, Desk

pytestmark = pytest.mark.slow


@pytest.fixture
def whole(desk: Desk) -> Desk:
    """Ten entries under heads of 4, 8 and 10."""
    for count in (4, 4, 2):
        desk.record(count, personal={"names": "dns:a.example.test"})
        desk.sequence()
    report = desk.verify()
    assert (report.size, report.signed, report.heads, report.unsigned, report.waiting) == (10, 10, 3, 0, 0)
    return desk


def event_at(desk: Desk, index: int) -> int:
    return int(desk.store.rows('SELECT event FROM journal_leaf WHERE "index" = ?', index)[0][0])


def rechain(desk: Desk) -> None:
    """What a careful forger does: leaf and chain hashes are all made to fit the rows again."""
    chain = EMPTY
    for chained in desk.store.chained(0, 1000):
        assert chained.row is not None
        leaf = leaf_hash(chained.row.body)
        chain = link(chain, leaf)
        desk.tamper('UPDATE journal_leaf SET hash = ?, chain = ? WHERE "index" = ?', leaf, chain, chained.leaf.index)


def forge(desk: Desk, index: int) -> None:
    body = desk.store.rows("SELECT body FROM event WHERE id = ?", event_at(desk, index))[0][0]
    desk.tamper("UPDATE event SET body = ? WHERE id = ?", body.replace(b"passkey", b"invited"), event_at(desk, index))


def swap(desk: Desk) -> None:
    desk.tamper('UPDATE journal_leaf SET "index" = -1 WHERE "index" = 3')
    desk.tamper('UPDATE journal_leaf SET "index" = 3 WHERE "index" = 6')
    desk.tamper('UPDATE journal_leaf SET "index" = 6 WHERE "index" = -1')


TAMPERINGS: dict[str, tuple[Callable[[Desk], None], str]] = {
    "one octet of an entry": (lambda d: forge(d, 5), "entry 5: the bytes of event"),
    "an entry and its leaf hash": (
        lambda d: (
            forge(d, 5),
            d.tamper(
                'UPDATE journal_leaf SET hash = ? WHERE "index" = 5',
                leaf_hash(d.store.rows("SELECT body FROM event WHERE id = ?", event_at(d, 5))[0][0]),
            ),
        ),
        "entry 5: it does not follow",
    ),
    "an entry and every hash after it": (lambda d: (forge(d, 5), rechain(d)), "the head over 8 entries: its hash"),
    "a column beside the entry": (
        lambda d: d.tamper("UPDATE event SET actor = 'operator:bob' WHERE id = ?", event_at(d, 2)),
        "entry 2: the columns of event",
    ),
    "a time column": (lambda d: d.tamper("UPDATE event SET time = 5 WHERE id = ?", event_at(d, 9)), "entry 9"),
    "an entry deleted": (
        lambda d: d.tamper("DELETE FROM event WHERE id = ?", event_at(d, 7)),
        "entry 7: event",
    ),
    "a leaf deleted": (lambda d: d.tamper('DELETE FROM journal_leaf WHERE "index" = 4'), "entry 4: it is missing"),
    "the first leaf deleted": (lambda d: d.tamper('DELETE FROM journal_leaf WHERE "index" = 0'), "entry 0"),
    "entry and leaf deleted, the rest moved up": (
        lambda d: (
            d.tamper('DELETE FROM journal_leaf WHERE "index" = 9'),
            d.tamper("UPDATE journal_head SET size = 9 WHERE size = 10"),
            d.tamper("DELETE FROM event WHERE id = (SELECT max(id) FROM event)"),
        ),
        "the head over 9 entries",
    ),
    "rows swapped": (swap, "entry 3: it does not follow"),
    "rows swapped and every hash mended": (lambda d: (swap(d), rechain(d)), "the head over 4 entries"),
    "the tail cut": (
        lambda d: d.tamper('DELETE FROM journal_leaf WHERE "index" >= 9'),
        "entry 9: the tail is cut off: a signed head covers 10",
    ),
    "everything deleted but the heads": (lambda d: d.tamper("DELETE FROM journal_leaf"), "entry 0: the tail is cut"),
    "a head's hash edited": (
        lambda d: d.tamper("UPDATE journal_head SET hash = ? WHERE size = 8", bytes(32)),
        "the head over 8 entries: its hash",
    ),
    "a head's signature edited": (
        lambda d: d.tamper("UPDATE journal_head SET signature = ? WHERE size = 10", bytes(64)),
        "the head over 10 entries: the signature",
    ),
    "a head unsigned": (
        lambda d: d.tamper("UPDATE journal_head SET signature = ? WHERE size = 4", b""),
        "the head over 4 entries: the signature",
    ),
    "a head by an unknown key": (
        lambda d: d.tamper("UPDATE journal_head SET key_id = 'mallory' WHERE size = 4"),
        "the signature of 'mallory'",
    ),
    "a head of another journal": (
        lambda d: d.tamper("UPDATE journal_head SET origin = 'other/audit' WHERE size = 8"),
        "the head over 8 entries: it names another journal",
    ),
    "clear text edited": (
        lambda d: d.tamper("UPDATE event_personal SET clear = 'dns:b.test' WHERE event = ?", event_at(d, 6)),
        "entry 6: the clear text of 'names'",
    ),
    "clear text put in": (
        lambda d: d.tamper("INSERT INTO event_personal VALUES (?, 'e-mail', 'x', ?)", event_at(d, 1), b"salt"),
        "entry 1: the clear text of 'e-mail'",
    ),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_is_found_with_its_place(whole: Desk, name: str) -> None:
    tampering, place = TAMPERINGS[name]
    tampering(whole)
    with pytest.raises(JournalBroken) as caught:
        whole.verify()
    assert place in str(caught.value)
    assert caught.value.next_step


def test_an_entry_that_was_taken_off_the_queue_is_found(whole: Desk) -> None:
    whole.record(1)
    whole.tamper("DELETE FROM journal_queue")
    with pytest.raises(JournalBroken, match="taken off the queue"):
        whole.verify()


def test_any_octet_counts(whole: Desk) -> None:
    chooser = random.Random(20261123)
    for _ in range(12):
        event = event_at(whole, chooser.randrange(10))
        body = whole.store.rows("SELECT body FROM event WHERE id = ?", event)[0][0]
        place = chooser.randrange(len(body))
        changed = body[:place] + bytes([body[place] ^ (1 << chooser.randrange(8))]) + body[place + 1 :]
        whole.tamper("UPDATE event SET body = ? WHERE id = ?", changed, event)
        with pytest.raises(JournalBroken):
            whole.verify()
        whole.tamper("UPDATE event SET body = ? WHERE id = ?", body, event)
    whole.verify()


def test_another_key_of_that_id_does_not_verify(whole: Desk) -> None:
    with pytest.raises(JournalBroken, match="signature"):
        verify(whole.store, {"journal-g1": ed25519.Ed25519PrivateKey.generate().public_key()})
    with pytest.raises(JournalBroken, match="signature"):
        verify(whole.store, {})


def test_erasing_personal_data_leaves_the_journal_whole(whole: Desk) -> None:
    assert whole.store.erase_personal(event_at(whole, 3)) == 1
    assert whole.verify().size == 10
    whole.tamper("DELETE FROM event_personal")
    assert whole.verify().size == 10


def test_waiting_entries_are_reported_and_late_ones_told(whole: Desk) -> None:
    whole.record(2)
    report = whole.verify()
    assert (report.waiting, report.waiting_since, report.size) == (2, whole.clock(), 10)
    assert not report.late(whole.clock() + 30)
    assert report.late(whole.clock() + 31)
    whole.sequence()
    assert not whole.verify().late(whole.clock() + 999)


def test_an_empty_journal_is_whole(desk: Desk) -> None:
    report = desk.verify()
    assert (report.size, report.signed, report.waiting, report.head) == (0, 0, 0, "00" * 32)


# --- crashes ------------------------------------------------------------------------------------


def _write_until_killed(url: str, started: object) -> None:
    store = Store.open(url)
    journal = Journal(store, lambda: 1_800_000_000)
    number = 0
    while True:
        with store.transaction():
            store.set_setting("deed", str(number))
            journal.append(Event("token.created", ALICE, f"token:{number}"))
        number += 1
        if number == 5:
            started.set()  # type: ignore[attr-defined]


def test_kill_9_of_writers_leaves_a_whole_journal_that_tells_of_each_deed(desk: Desk, store_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    child = context.Process(target=_write_until_killed, args=(store_url, started))
    child.start()
    assert started.wait(30)
    desk.sequence()
    os.kill(child.pid or 0, signal.SIGKILL)
    child.join(10)
    desk.sequence()
    report = desk.verify()
    assert (report.waiting, report.unsigned) == (0, 0)
    assert report.size >= 5
    assert desk.store.recent(1)[0].target == f"token:{desk.store.setting('deed')}"


def _sequence_until_killed(url: str, started: object) -> None:
    store = Store.open(url)
    journal = Journal(store, lambda: 1_800_000_000)
    desk = Desk(store, journal, lambda: 1_800_000_000, ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)))
    while True:
        desk.record(3)
        desk.sequence()
        started.set()  # type: ignore[attr-defined]


def test_kill_9_of_the_sequencer_leaves_a_chain_that_the_next_one_continues(desk: Desk, store_url: str) -> None:
    desk.key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    child = context.Process(target=_sequence_until_killed, args=(store_url, started))
    child.start()
    assert started.wait(30)
    os.kill(child.pid or 0, signal.SIGKILL)
    child.join(10)
    desk.verify()
    desk.record(1)
    desk.sequence()
    report = desk.verify()
    assert (report.waiting, report.unsigned) == (0, 0)
