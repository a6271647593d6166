"""One entry proved to an outsider: by our verifier, and by hashlib and openssl alone as docs/journal.md tells."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca.errors import BadRequest, JournalBroken, NotFound
from ca.journal import leap, proof
from ca.journal.chain import EMPTY, leaf_hash, link
from ca.journal.proof import Proof, Proven, fingerprint
from ca.keys.checkpoint import Checkpoint
from ca.records import Event
from tests.ca.journal.conftest import ALICE, Desk

RECIPE = Path(__file__).parents[3] / "docs/journal.md"


def spki(desk: Desk) -> bytes:
    return desk.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def event_at(desk: Desk, index: int) -> int:
    return desk.store.chained(index, 1)[0].leaf.event


def prove(desk: Desk, index: int) -> Proof:
    return proof.prove(desk.store, event_at(desk, index), {"journal-g1": spki(desk)})


def verify(desk: Desk, made: Proof) -> Proven:
    """As an outsider does: from the file."""
    return proof.verify(proof.read(proof.write(made)), fingerprint(spki(desk)))


@pytest.fixture
def three(desk: Desk) -> Desk:
    """Nine entries under heads of 4, 8 and 9."""
    for count in (4, 4, 1):
        desk.record(count, personal={"names": "dns:ä.example.test"})
        desk.sequence()
    return desk


@pytest.mark.parametrize("index", range(9))
def test_every_entry_is_proved_under_the_first_head_above_it(three: Desk, index: int) -> None:
    proven = verify(three, prove(three, index))
    assert (proven.index, proven.size, proven.lost) == (index, next(s for s in (4, 8, 9) if s > index), 0)
    assert proven.entry["object"] == f"token:t{index % 4}"
    assert "ä" not in str(proven.entry)  # personal data stays a commitment


def test_a_proof_stays_the_same_when_the_journal_grows(three: Desk) -> None:
    before = proof.write(prove(three, 5))
    three.record(3)
    three.sequence()
    assert proof.write(prove(three, 5)) == before


def forged(desk: Desk, made: Proof, **changed: Any) -> Proof:
    return msgspec.structs.replace(made, **changed)


FORGERIES = {
    "the entry": lambda made: {"entry": made.entry.replace("alice", "mallory")},
    "an entry in other words": lambda made: {"entry": made.entry + " "},
    "what came before": lambda made: {"before": bytes(32)},
    "one leaf left out": lambda made: {"after": made.after[1:]},
    "one leaf more": lambda made: {"after": (*made.after, bytes(32))},
    "two leaves swapped": lambda made: {"after": made.after[::-1]},
    "a later place": lambda made: {"index": made.index + 1},
    "a negative place": lambda made: {"index": -1},
    "a longer head": lambda made: {"checkpoint": made.checkpoint.replace("\n8\n", "\n9\n")},
    "another journal": lambda made: {"checkpoint": made.checkpoint.replace("audit", "adult")},
    "no checkpoint": lambda made: {"checkpoint": ""},
    "no signature": lambda made: {"signature": b""},
    "no key": lambda made: {"key": b""},
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_whatever_is_changed_the_proof_no_longer_holds(three: Desk, forgery: str) -> None:
    made = prove(three, 5)
    with pytest.raises(JournalBroken, match="The proof does not hold"):
        verify(three, forged(three, made, **FORGERIES[forgery](made)))


def test_a_proof_by_another_key_convinces_nobody(three: Desk) -> None:
    """Everything in it fits, but for who signed it: the reader's trust comes from elsewhere."""
    mallory = ed25519.Ed25519PrivateKey.generate()
    made = prove(three, 5)
    own = mallory.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    theirs = forged(three, made, key=own, signature=mallory.sign(made.checkpoint.encode()))
    assert proof.verify(theirs, fingerprint(own)).index == 5
    with pytest.raises(JournalBroken, match="not by the one that you trust"):
        verify(three, theirs)


def signed(desk: Desk, body: str) -> Proof:
    """A proof of any bytes, by a journal's key that lies."""
    head = Checkpoint("certwright/audit", 1, link(EMPTY, leaf_hash(body.encode()))).text()
    return Proof(0, body, EMPTY, (), head.decode(), desk.key.sign(head), spki(desk))


ENDLESS = '{"time":99999999999999999,"actor":{"kind":"a","id":"b"},"action":"x","object":"y","result":"ok","detail":{}}'


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"time":"now"}', ENDLESS])
def test_what_is_no_entry_is_no_proof_even_when_it_is_signed(desk: Desk, body: str) -> None:
    with pytest.raises(JournalBroken, match="no entry"):
        verify(desk, signed(desk, body))


@pytest.mark.parametrize(
    "text",
    [b"", b"junk", b"{}", b"[]", b'{"format":"certwright-journal-proof-2"}', b"\xff", b" " * (proof.LARGEST + 1)],
)
def test_a_file_that_is_no_proof(text: bytes) -> None:
    with pytest.raises(BadRequest, match="no proof of an entry"):
        proof.read(text)


def test_a_member_that_nobody_knows_is_refused(three: Desk) -> None:
    text = proof.write(prove(three, 5)).replace(b'"index"', b'"note": "trust me",\n  "index"')
    with pytest.raises(BadRequest, match="note"):
        proof.read(text)


def test_what_is_not_there_yet_says_when_it_will_be(desk: Desk) -> None:
    desk.record(1)
    waiting = desk.store.recent(1)[0].id
    for event in (waiting, waiting + 1):
        with pytest.raises(NotFound, match="no place in the journal's chain"):
            proof.prove(desk.store, event, {})
    desk.sequence()
    desk.tamper("DELETE FROM journal_head")
    with pytest.raises(NotFound, match="No signed head covers entry 0 yet"):
        prove(desk, 0)


def test_a_way_that_is_too_long_is_not_walked(three: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "LONGEST_WAY", 3)
    assert prove(three, 5).index == 5
    with pytest.raises(NotFound, match="4 entries away"):
        prove(three, 4)


def test_no_proof_is_made_of_what_was_tampered_with(three: Desk) -> None:
    """The records are not trusted: what is handed out was verified."""
    three.tamper("UPDATE event SET body = ? WHERE id = ?", b'{"v":1}', event_at(three, 5))
    with pytest.raises(JournalBroken, match="do not lead to the head"):
        prove(three, 5)
    three.tamper("DELETE FROM event WHERE id = ?", event_at(three, 6))
    with pytest.raises(JournalBroken, match="was deleted"):
        prove(three, 6)


def test_a_gap_that_a_restore_left_is_told(desk: Desk) -> None:
    """Three entries that no head covered yet, then the database is found to be behind: the journal goes on at 10."""
    desk.record(3)
    desk.sequence()
    desk.tamper("DELETE FROM journal_head")
    detail = {"from": 3, "to": 10}
    leap(desk.store, desk.journal, Event("restore.performed", ALICE, "restore", detail=detail), 10)
    desk.sequence()
    proven = verify(desk, prove(desk, 1))
    assert (proven.index, proven.size, proven.lost) == (1, 11, 7)
    assert verify(desk, prove(desk, 10)).lost == 0


def test_the_recipe_of_the_docs_verifies_it_without_this_program(three: Desk, tmp_path: Path) -> None:
    recipe = re.search(r"```python\n(.*?)```", RECIPE.read_text(), re.DOTALL)
    assert recipe is not None

    def run(made: Proof) -> subprocess.CompletedProcess[str]:
        (tmp_path / "PROOF").write_bytes(proof.write(made))
        words = [sys.executable, "-I", "-c", recipe[1], "PROOF", fingerprint(spki(three)).hex()]
        return subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=30)

    made = prove(three, 5)
    done = run(made)
    assert done.returncode == 0, done.stderr
    assert "token.revoked" in done.stdout
    for forgery in ("the entry", "one leaf left out", "a longer head", "no key"):
        assert run(forged(three, made, **FORGERIES[forgery](made))).returncode != 0, forgery
