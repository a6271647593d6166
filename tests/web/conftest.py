"""Fixtures of the doors."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from ca.authority import Authority
from ca.folder import Folder
from tests.ca.authority.conftest import authority  # noqa: F401 - the front desk of `world`
from tests.ca.authority.world import World, small_ca
from tests.ca.conftest import hierarchy  # noqa: F401 - the small hierarchy with keys in memory
from tests.web.desk import Asker, make_token
from tests.web.plane import Plane, Process, configure, running


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One CA, with a real signer, for all tests of the doors: who kills the signer starts it again."""
    with small_ca(tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture
def plane(hierarchy: Any, tmp_path: Path) -> Plane:  # noqa: F811
    """A folder with the hierarchy's certificates published."""
    made = Plane(hierarchy, Folder(tmp_path / "state" / "public"))
    made.publish_hierarchy()
    return made


@pytest.fixture
def status_process(plane: Plane, tmp_path: Path) -> Iterator[Process]:
    """The status process over that folder, as `certwright serve --only status` runs it."""
    config = configure(tmp_path)
    with running(
        "from web.status import run; run(config)", tmp_path / "certwright.toml", config.server.http_listen
    ) as process:
        yield process


@pytest.fixture
def app(authority: Authority) -> Flask:  # noqa: F811
    """The application with the API's door over a real CA."""
    from web.app import create_app

    return create_app(authority, frozenset({"api"}))


@pytest.fixture
def asker(app: Flask, authority: Authority) -> Asker:  # noqa: F811
    """A client with a token for **.api.test and the profile server."""
    return Asker(app.test_client(), make_token(authority))
