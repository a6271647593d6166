"""Fixtures: the world and its front desk."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ca.authority import Authority
from tests.ca.authority.fast import FastWorld, make_template
from tests.ca.authority.world import World, small_ca
from tests.ca.conftest import Hierarchy


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A new CA for each test module and each kind of database; on PostgreSQL under the role with the least rights."""
    on_postgresql = request.param == "postgresql"
    database = request.getfixturevalue("postgresql").lend_to_writer() if on_postgresql else ""
    with small_ca(tmp_path_factory.mktemp("world"), database) as made:
        yield made


@pytest.fixture
def authority(world: World) -> Iterator[Authority]:
    """The front desk, with its clock back at now."""
    world.clock.ahead = 0
    opened = world.open()
    yield opened
    opened.store.close()


@pytest.fixture(scope="session")
def template(hierarchy: Hierarchy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of every fast world, migrated and with the hierarchy recorded."""
    return make_template(tmp_path_factory.mktemp("template") / "ca.sqlite", hierarchy)


@pytest.fixture
def make(hierarchy: Hierarchy, template: Path, tmp_path: Path) -> Iterator[Callable[..., FastWorld]]:
    """Makes worlds without token and processes; keywords are keys of the section `ca`."""
    made: list[FastWorld] = []

    def one(**ca: Any) -> FastWorld:
        made.append(FastWorld(tmp_path, hierarchy, template, **ca))
        return made[-1]

    yield one
    for world in made:
        world.close()
