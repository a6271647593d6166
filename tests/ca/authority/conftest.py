"""Fixtures: the world and its front desk."""

from collections.abc import Iterator

import pytest

from ca.authority import Authority
from tests.ca.authority.world import World, small_ca


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
