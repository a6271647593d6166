"""A room for ceremonies: a real signer process, a real database, and a root's key in memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ca.ceremony.plans import RootPlan
from ca.ceremony.room import Room
from ca.ceremony.root_key import RootKey
from ca.clock import system_clock
from ca.folder import Folder
from ca.journal import Journal
from ca.keys.algorithms import spki_of
from ca.publish import Publisher
from ca.records import Key, KeyPurpose
from ca.store import Store, migrate
from tests.ca.keys.conftest import fresh_tokens, module  # noqa: F401  # fixtures
from tests.ca.keys.world import Signer, make_signer

STATUS_URL = "http://pki.test:8080"


@dataclass
class World:
    """The room, the folder that it publishes into, and the signer's process."""

    room: Room
    folder: Folder
    signer: Signer


@pytest.fixture
def world(module: str, fresh_tokens: Path, tmp_path: Path) -> Iterator[World]:  # noqa: F811  # fixtures
    signer = make_signer(tmp_path / "signer", module, fresh_tokens)
    client = signer.start()
    url = f"sqlite:///{tmp_path / 'records.sqlite'}"
    migrate(url)
    store = Store.open(url)
    folder = Folder(tmp_path / "public")
    room = Room(store, Journal(store, system_clock), Publisher(store, folder), client, system_clock, STATUS_URL)
    yield World(room, folder, signer)
    store.close()
    signer.stop()


@pytest.fixture
def memory_root(private_key: Callable) -> Callable[[RootPlan], RootKey]:  # type: ignore[type-arg]
    """A root's key in memory, where the token does not matter."""

    def make(plan: RootPlan) -> RootKey:
        key = private_key(plan.algorithm)
        record = Key(plan.id, KeyPurpose.ROOT, plan.algorithm, spki_of(key.public_key()), created_at=system_clock())
        return RootKey(record, key, "memory")

    return make
