"""Fixtures of the doors."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ca.folder import Folder
from tests.ca.conftest import hierarchy  # noqa: F401 - the small hierarchy with keys in memory
from tests.web.plane import Plane, Process, configure, running


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
