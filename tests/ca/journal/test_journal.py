"""Capture: no event, no change; entries by JOURNAL.md §2; personal data only as a commitment."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ca.errors import CAError
from ca.journal import Journal, export, history, tail
from ca.journal.entry import LARGEST
from ca.journal.events import EVENTS
from ca.records import Actor, Event
from ca.store import Store
from tests.ca.journal.conftest import ALICE, Desk


def test_an_entry_says_who_did_what_to_what_and_how_it_ended(desk: Desk) -> None:
    with desk.store.transaction():
        desk.journal.append(
            Event(
                "certificate.revoked",
                ALICE,
                "certificate:issuing-g1:01ab",
                reason="superseded",
                key="issuing-g1",
                request_id="r-1",
                detail={"revoked_at": 5, "list": [1, "ä"]},
                personal={"names": "dns:a.example.test", "e-mail": "a@example.test"},
            )
        )
    (row,) = desk.store.recent(10)
    entry = json.loads(row.body)
    assert entry["v"] == 1
    assert len(bytes.fromhex(entry["nonce"])) == 16
    assert entry["time"] == desk.clock() == row.time
    assert (entry["actor"], entry["method"]) == ({"kind": "operator", "id": "alice"}, "passkey")
    assert (entry["action"], entry["object"]) == ("certificate.revoked", "certificate:issuing-g1:01ab")
    assert (entry["key"], entry["result"], entry["reason"]) == ("issuing-g1", "ok", "superseded")
    assert (entry["request_id"], entry["detail"]) == ("r-1", {"revoked_at": 5, "list": [1, "ä"]})
    assert row.body == json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def test_personal_data_stands_in_the_entry_as_a_salted_commitment_only(desk: Desk) -> None:
    desk.record(1, personal={"names": "dns:secret.example.test"})
    (row,) = desk.store.recent(1)
    assert b"secret.example.test" not in row.body
    ((clear, salt),) = desk.store.rows("SELECT clear, salt FROM event_personal")
    assert clear == "dns:secret.example.test"
    assert len(salt) == 16
    assert json.loads(row.body)["personal"]["names"] == hashlib.sha256(salt + clear.encode()).hexdigest()


def test_two_equal_events_have_unlike_entries(desk: Desk) -> None:
    desk.record(2, personal={"names": "dns:a.test"})
    desk.store.change("UPDATE event SET target = 'x'")
    first, second = desk.store.recent(2)
    assert first.body != second.body
    assert json.loads(first.body)["personal"] != json.loads(second.body)["personal"]


def test_an_event_needs_the_transaction_of_its_deed(desk: Desk) -> None:
    with pytest.raises(CAError, match="transaction"):
        desk.journal.append(Event("token.revoked", ALICE, "token:t1"))
    assert desk.store.recent(1) == ()


def test_no_event_no_change_and_no_change_no_event(desk: Desk) -> None:
    def deed(action: str, then: Callable[[], None]) -> None:
        with desk.store.transaction():
            desk.store.set_setting("deed", "done")
            desk.journal.append(Event(action, ALICE, "token:t1"))
            then()

    def crash() -> None:
        raise CAError("crash")

    for action, then in (("no.such-event", lambda: None), ("token.revoked", crash)):
        with pytest.raises(CAError):
            deed(action, then)
        assert desk.store.rows("SELECT * FROM setting") == []
        assert desk.store.recent(1) == ()
    deed("token.revoked", lambda: None)
    assert len(desk.store.recent(2)) == 1


def test_every_event_of_the_table_is_accepted_and_every_other_name_refused(sqlite_store: Store) -> None:
    journal = Journal(sqlite_store, lambda: 1)
    for action in EVENTS:
        with sqlite_store.transaction():
            journal.append(Event(action, ALICE, "x:y"))
    assert len(sqlite_store.recent(1000)) == len(EVENTS)
    for action in ("", "token", "Token.created", "token.created ", "token.deleted"):
        with pytest.raises(CAError), sqlite_store.transaction():
            journal.append(Event(action, ALICE, "x:y"))


def test_an_entry_has_a_bound(desk: Desk) -> None:
    frame = 400
    desk.record(1, detail={"text": "x" * (LARGEST - frame)})
    with pytest.raises(CAError, match="65535"):
        desk.record(1, detail={"text": "x" * LARGEST})
    assert len(desk.store.recent(9)) == 1


def test_events_are_named_noun_verb_and_mean_something() -> None:
    import re

    for name, meaning in EVENTS.items():
        assert re.fullmatch(r"[a-z]+\.[a-z-]+", name)
        assert meaning.endswith(".")


def test_every_event_that_the_code_fires_is_in_the_table() -> None:
    import re

    fired: dict[str, Path] = {}
    for room in ("ca", "acme_server", "scheduler", "web", "cli"):
        for file in Path(room).rglob("*.py"):
            for name in re.findall(r'\bE?_?[Ee]vent\(\s*"([a-z-]+\.[a-z-]+)"', file.read_text()):
                fired[name] = file
    assert fired
    assert not {name: file for name, file in fired.items() if name not in EVENTS}


# --- reading ------------------------------------------------------------------------------------


def test_export_gives_every_event_in_order_with_its_place(desk: Desk) -> None:
    desk.record(3)
    desk.sequence()
    desk.record(2)
    got = list(export(desk.store))
    assert [one["index"] for one in got] == [0, 1, 2, None, None]
    assert [one["object"] for one in got] == ["token:t0", "token:t1", "token:t2", "token:t0", "token:t1"]
    leaves = [hashlib.sha256(b"\x00" + row.body).hexdigest() for row in reversed(desk.store.recent(9))]
    assert [one["hash"] for one in got] == [*leaves[:3], "", ""]


def test_tail_and_history(desk: Desk) -> None:
    desk.record(3)
    assert [one["object"] for one in tail(desk.store, 2)] == ["token:t1", "token:t2"]
    assert [one["actor"]["id"] for one in history(desk.store, "token:t1")] == ["alice"]
    assert history(desk.store, "token:none") == ()


def test_actors_of_every_kind_are_found_by_their_column(desk: Desk) -> None:
    with desk.store.transaction():
        desk.journal.append(Event("order.created", Actor("account", "a:1", "jws"), "order:o1"))
    desk.sequence()
    assert desk.store.recent(1)[0].actor == "account:a:1"
    assert desk.verify().size == 1
