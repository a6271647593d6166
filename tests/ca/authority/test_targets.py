"""Rounds over the targets of a configuration: each by itself, whatever another does."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ca.authority import Authority, targets
from ca.config import Config
from ca.errors import NotFound, Unavailable
from ca.targets import Item, Target
from cli import checks
from tests.ca.authority.fast import FastWorld


class Hanging:
    """A destination that takes nothing until it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.calls = 0

    def holds(self, _since: int) -> bool:
        return True

    def wanted(self) -> None:
        pass

    def send(self, _items: Sequence[Item]) -> None:
        self.calls += 1
        self.let_go.wait(20)
        raise Unavailable("It hung.")


class Quick(Hanging):
    def send(self, items: Sequence[Item]) -> None:
        self.calls += 1


@pytest.fixture
def desk(make: Callable[..., FastWorld]) -> Authority:
    """A CA that has published something, and two folder targets."""
    world = make()
    world.issue()
    wanted = {name: {"kind": "folder", "path": world.folder / name} for name in ("one", "two")}
    return replace(world.authority, config=Config.model_validate({**world.config.model_dump(), "targets": wanted}))


@pytest.mark.slow
def test_a_target_that_hangs_holds_up_no_other_and_is_not_run_twice(
    desk: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, quick = Hanging(), Quick()
    found = (
        Target("bad", "x", "bad", False, frozenset(), hanging),
        Target("good", "x", "good", False, frozenset(), quick),
    )
    monkeypatch.setattr(targets, "open_targets", lambda *_: found)
    monkeypatch.setattr(targets, "PATIENCE", 1.0)
    assert [one.name for one in desk.feed_targets(local=False)] == ["good"]
    assert [one.name for one in desk.feed_targets(local=False)] == ["good"]
    assert hanging.calls == 1, "a round began while one was still running"
    assert desk.store.target("good").seq == desk.store.last_seq()
    hanging.let_go.set()
    end = time.monotonic() + 10
    while not desk.store.target("bad").failures:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert desk.store.target("bad").trouble == "It hung."


def test_each_is_fed_where_it_belongs_and_shown_with_what_it_lacks(desk: Authority) -> None:
    assert desk.feed_targets(local=False) == ()
    assert {one.missing for one in desk.targets()} == {desk.store.last_seq()}
    done = desk.feed_targets(local=True)
    assert sorted(one.name.partition("@")[0] for one in done) == ["one", "two"]
    assert [(one.missing, one.state.failures) for one in desk.targets()] == [(0, 0), (0, 0)]


def test_a_folder_that_another_node_writes_has_a_line_of_its_own(desk: Authority) -> None:
    desk.store.begin_target("one@elsewhere", desk.clock())
    shown: list[Any] = [one.state.name for one in desk.targets() if one.target.name == "one"]
    assert len(shown) == 2
    assert "one@elsewhere" in shown


def test_everything_is_sent_again_when_it_is_asked_for(desk: Authority) -> None:
    desk.feed_targets(local=True)
    [staple] = list((desk.config.targets["one"].path / "staple").iterdir())
    staple.unlink()
    desk.feed_targets(local=True)
    assert not staple.exists()
    desk.resend("one")
    desk.feed_targets(local=True)
    assert staple.exists()
    with pytest.raises(NotFound, match="no target 'three'"):
        desk.resend("three")


def test_the_doctor_warns_of_one_that_stays_behind(desk: Authority, tmp_path: Path) -> None:
    patient = checks.Patient(tmp_path / "none", desk.clock)
    patient.authority = desk
    desk.store.begin_target(desk.targets()[0].state.name, desk.clock() - 61)
    desk.store.target_failed(desk.targets()[0].state.name, "No room.", desk.clock())
    with pytest.raises(checks.Warn, match=r"one@.* has been behind for 61 s. No room."):
        checks.CHECKS["targets"](patient)
    desk.feed_targets(local=True)
    assert checks.CHECKS["targets"](patient) == "2 targets"
