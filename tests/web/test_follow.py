"""A status-only node: filled over the API alone, and unready when it is behind."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from ca.clock import Clock, system_clock
from ca.config import Config
from ca.errors import Unavailable
from ca.folder import Folder
from ca.ocsp import KEPT
from ca.records import Publication
from tests.ca.authority.conftest import make, template  # noqa: F401 - worlds without token and processes
from tests.ca.authority.fast import FastWorld
from tests.web.desk import make_token
from tests.web.test_outside import served
from web.app import create_app
from web.counters import StatusCounts
from web.follow import Follower
from web.status import StatusPlane

pytestmark = pytest.mark.slow


@contextmanager
def api(world: FastWorld) -> Iterator[str]:
    app = create_app(world.authority, frozenset({"api"}))
    with served(app) as origin:
        yield f"{origin}/api/v1"


@pytest.fixture
def world(make: Callable[..., FastWorld]) -> FastWorld:  # noqa: F811
    made = make()
    made.authority.publisher.put(Publication("roots.pem", b"roots", 1, "application/x-pem-file", made.clock()))
    return made


def follower(world: FastWorld, url: str, folder: Path, token: str = "", clock: Clock = system_clock) -> Follower:
    (folder / "token").write_text(token or make_token(world.authority))
    status = {"feed_url": url, "feed_token_file": folder / "token"}
    return Follower(Config(mode="demo", status=status), Folder(folder / "public"), clock)


def test_a_node_without_database_is_filled_in_order(world: FastWorld, tmp_path: Path) -> None:
    world.issue()
    world.authority.publish_crls()
    (tmp_path / "node").mkdir()
    with api(world) as url:
        node = follower(world, url, tmp_path / "node")
        assert node.step(0) > 5
        assert node.step(0) == 0
        there = Folder(tmp_path / "node" / "public")
        for one in world.authority.store.after(0):
            found = there.get(one.path)
            assert found is not None
            assert (found.body, found.version) == (one.body, one.version)
        assert there.fed == world.authority.store.last_seq()
        world.authority.store.put(Publication("later.txt", b"x", 1, "text/plain", 1))
        assert node.step(0) == 1
        assert there.get("later.txt") is not None


def test_a_node_that_is_behind_is_not_ready(world: FastWorld, tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    with api(world) as url:
        node = follower(world, url, tmp_path / "node")
        node.step(0)
    plane = StatusPlane(Folder(tmp_path / "node" / "public"), world.clock, StatusCounts())
    plane.behind = lambda: node.age() > 60
    client = Client(plane)
    assert client.get("/ready").status_code == 200
    with pytest.raises(Unavailable):
        node.step(0)
    node._well -= 61
    assert client.get("/ready").status_code == 503
    assert client.get("/roots.pem").status_code == 200, "what is here is still served"


def test_a_database_that_was_set_back_is_read_from_its_beginning(world: FastWorld, tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    with api(world) as url:
        node = follower(world, url, tmp_path / "node")
        Folder(tmp_path / "node" / "public").fed = 10_000
        assert node.step(0) == 0
        assert node.step(0) >= 1


def test_without_a_token_nothing_is_read(world: FastWorld, tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    with api(world) as url:
        with pytest.raises(Unavailable, match="401"):
            follower(world, url, tmp_path / "node", "cw_wrong").step(0)
        with pytest.raises(Unavailable):
            follower(world, f"{url}/nothing", tmp_path / "node").step(0)


def test_it_goes_on_by_itself(world: FastWorld, tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    with api(world) as url:
        node = follower(world, url, tmp_path / "node")
        node.start()
        _until(lambda: Folder(tmp_path / "node" / "public").get("roots.pem") is not None)
        node.stop()
        world.authority.store.put(Publication("wakes.txt", b"x", 1, "text/plain", 1))
        node._thread.join(25)


def _until(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_it_drops_answers_that_ended_long_ago(world: FastWorld, tmp_path: Path) -> None:
    """Their end is no news, so none comes."""
    certificate = world.issue()
    (tmp_path / "node").mkdir()
    with api(world) as url:
        node = follower(world, url, tmp_path / "node", clock=lambda: certificate.not_after + KEPT + 86400)
        node.step(0)
        there = Folder(tmp_path / "node" / "public")
        answers = [one.path for one in world.authority.store.after(0) if one.path.startswith("ocsp/")]
        assert all(map(there.get, answers))
        node.tidy()
        assert not any(map(there.get, answers))
        assert there.get("roots.pem")
