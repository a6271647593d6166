"""Fixtures: the world and its front desk."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ca.authority import Authority
from cli.place import Place, Ports, default_module
from tests.ca.authority.world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A new CA for each test module."""
    if not any(map(os.environ.get, ("CERTWRIGHT_PKCS11_MODULE", "CERTWRIGHT_HSM__MODULE"))):
        softhsm = Path("/usr/lib/softhsm/libsofthsm2.so")
        if not softhsm.exists():
            pytest.skip("SoftHSM is not installed")
        os.environ["CERTWRIGHT_PKCS11_MODULE"] = str(softhsm)
    place = Place(tmp_path_factory.mktemp("world"))
    made = World(place)
    place.claim()
    place.prepare(Ports(), default_module())
    init = made.run("ca", "init", "--root-dir", str(place.root_token), "--yes")
    assert init.returncode == 0, init.stderr
    made.start_signer()
    yield made
    made.kill_signer()


@pytest.fixture
def authority(world: World) -> Iterator[Authority]:
    """The front desk, with its clock back at now."""
    world.clock.ahead = 0
    opened = world.open()
    yield opened
    opened.store.close()
