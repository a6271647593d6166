"""Feeding a target: in order, from its own cursor, tried again after trouble, never set back."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from ca.folder import Folder
from ca.store import Store, TargetState, migrate
from ca.targets.folder import PlainFolder
from tests.ca.targets.conftest import NOW, Desk, Shelf, answered, published


def test_it_gets_what_its_cursor_has_not_seen_and_nothing_twice(desk: Desk, shelf: Shelf) -> None:
    desk.put(*(published(f"crl/issuing-g1/{n:04x}.crl") for n in range(70)), answered())
    state = desk.feed(shelf)
    assert len(shelf.items) == shelf.sent == 72  # the answer twice: by its URL, and as the staple of its serial
    assert (state.seq, state.reached_at, state.behind_since, state.failures) == (desk.store.last_seq(), NOW, 0, 0)
    desk.put(answered(b"\x30\x02\x01\x01", version=2))
    desk.feed(shelf)
    assert shelf.sent == 74
    assert shelf.items["staple/0a1b2c3d4e5f.der"] == b"\x30\x02\x01\x01"


def test_one_that_fails_is_late_tried_again_later_and_holds_up_no_other(desk: Desk, shelf: Shelf) -> None:
    desk.put(answered())
    shelf.trouble = "no room"
    for failures, pause in ((1, 5), (2, 10), (3, 20)):
        state = desk.feed(shelf, "bad")
        assert (state.failures, state.trouble, state.due_at) == (failures, "no room", desk.now + pause)
        assert desk.feed(shelf, "bad") == state, "it was tried before its time"
        desk.now = state.due_at
    assert state.late(desk.now) == 35
    well = Shelf()
    assert desk.feed(well, "good").seq == desk.store.last_seq()
    shelf.trouble = ""
    healed = desk.feed(shelf, "bad")
    assert (healed.failures, healed.trouble, healed.late(desk.now)) == (0, "", 0)
    assert shelf.items == well.items


def test_one_that_is_there_again_has_no_trouble_though_there_is_nothing_to_send(desk: Desk, shelf: Shelf) -> None:
    desk.put(answered())
    desk.feed(shelf)
    shelf.holds = lambda since: shelf.send(()) or True  # type: ignore[method-assign]
    shelf.trouble = "gone"
    assert desk.feed(shelf).failures == 1
    shelf.trouble, desk.now = "", desk.now + 5
    assert (desk.feed(shelf).failures, shelf.sent) == (0, 2)


def test_one_that_waits_is_tried_at_once_when_it_is_asked_for(desk: Desk, shelf: Shelf) -> None:
    desk.put(answered())
    shelf.trouble = "no room"
    desk.feed(shelf)
    shelf.trouble = ""
    desk.store.rewind_target("edge")
    assert desk.feed(shelf).failures == 0


def test_a_clock_that_was_set_back_does_not_make_it_wait_for_ever(desk: Desk, shelf: Shelf) -> None:
    desk.put(answered())
    shelf.trouble = "no room"
    desk.feed(shelf)
    shelf.trouble, desk.now = "", NOW - 30 * 86400
    assert desk.feed(shelf).failures == 0


def test_one_that_lost_everything_gets_everything_again(desk: Desk, shelf: Shelf) -> None:
    desk.put(answered(), published("crl/issuing-g1/0000.crl"))
    desk.feed(shelf)
    shelf.items, shelf.lost = {}, True
    desk.feed(shelf)
    assert len(shelf.items) == 3
    shelf.items = {}
    desk.store.rewind_target("edge")
    desk.feed(shelf)
    assert len(shelf.items) == 3


def test_it_gets_the_parts_that_it_is_for(desk: Desk, shelf: Shelf) -> None:
    desk.put(
        answered(), published("crl/issuing-g1/0000.crl"), published("roots.pem"), published("spares/root/0001.crl")
    )
    assert desk.feed(shelf, only=["staple", "roots"]).seq == desk.store.last_seq()
    assert sorted(shelf.items) == ["roots.pem", "staple/0a1b2c3d4e5f.der"]


KILLED = """
import os, signal, sys
from pathlib import Path
from ca.folder import Folder
from ca.store import Store
from ca.targets import Target, feed, folder

class Dying(folder.PlainFolder):
    left = 40
    def _replace(self, *what):
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)
        super()._replace(*what)

home = Path(sys.argv[1])
own, target = Folder(home / "public"), Target("edge", "folder", "edge", True, frozenset(), Dying(home / "edge"))
feed(Store.open(f"sqlite:///{home}/ca.sqlite"), own, target, 1_800_000_000)
"""


def test_a_feeder_that_is_killed_is_followed_where_it_stood(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ca.sqlite"
    migrate(url)
    store = Store.open(url)
    desk = Desk(store, Folder(tmp_path / "public"))
    wanted = {f"crl/issuing-g1/{n:04x}.crl": b"\x30\x01%c" % n for n in range(70)}
    desk.put(*(published(path, body) for path, body in wanted.items()))
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert 0 < store.target("edge").seq < 40, "a batch is behind it, and another broke off"
    assert desk.feed(PlainFolder(tmp_path / "edge")).seq == store.last_seq()
    assert {path: (tmp_path / "edge" / path).read_bytes() for path in wanted} == wanted
    store.close()


def test_two_feeders_at_once_end_with_the_newest(desk: Desk) -> None:
    """The slow one's old content lands after the quick one's new content; the slow one finds out, and mends it."""
    quick = Shelf()
    desk.put(answered(b"\x30\x01\x01"))

    class Slow(Shelf):
        def send(self, items):
            desk.put(answered(b"\x30\x01\x02", version=2))
            desk.feed(quick)
            quick.send(items)

    desk.feed(Slow())
    assert quick.items["staple/0a1b2c3d4e5f.der"] == b"\x30\x01\x01"
    desk.feed(quick)
    assert quick.items["staple/0a1b2c3d4e5f.der"] == b"\x30\x01\x02"


def test_inc02_restored_records_send_nothing_older_than_what_is_served_here(desk: Desk, shelf: Shelf) -> None:
    old, new = answered(b"\x30\x01\x01"), answered(b"\x30\x01\x02", version=2)
    desk.store.put(old)
    desk.folder.apply(replace(new, seq=9))
    desk.feed(shelf)
    assert set(shelf.items.values()) == {new.body}


def test_one_ahead_of_the_records_begins_again(desk: Desk, shelf: Shelf, tmp_path: Path) -> None:
    desk.put(answered())
    desk.store.begin_target("edge", NOW)
    desk.store.move_target("edge", 0, 99, NOW)
    assert desk.feed(shelf).seq == desk.store.last_seq()
    assert shelf.items
    assert Folder(tmp_path / "none").get("x") is None


def test_one_that_was_never_fed_stands_at_the_beginning(desk: Desk) -> None:
    assert desk.store.target("edge") == TargetState("edge")
    assert desk.store.target_states() == ()
