"""Fixtures: the world and its front desk."""

from collections.abc import Iterator

import pytest

from ca.authority import Authority
from tests.ca.authority.world import World, small_ca


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A new CA for each test module."""
    with small_ca(tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture
def authority(world: World) -> Iterator[Authority]:
    """The front desk, with its clock back at now."""
    world.clock.ahead = 0
    opened = world.open()
    yield opened
    opened.store.close()
