"""Publications with real OCSP paths, over a store of each kind, and a destination that can be made to refuse."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ca.errors import Unavailable
from ca.folder import Folder
from ca.ocsp import CertID, answer_path
from ca.publish import Publisher
from ca.records import Publication
from ca.store import Store, TargetState
from ca.targets import Item, Target, feed
from ca.targets.feed import Destination

NOW = 1_800_000_000
SERIAL = 0x0A1B2C3D4E5F
SHA1 = CertID("sha1", bytes(range(20)), bytes(range(100, 120)), SERIAL)
SHA256 = CertID("sha256", bytes(range(32)), bytes(range(100, 132)), SERIAL)


def published(path: str, body: bytes = b"\x30\x00", version: int = 1) -> Publication:
    kind = "application/ocsp-response" if path.startswith("ocsp/") else "application/pkix-crl"
    return Publication(path, body, version, kind, NOW, NOW + 3600)


def answered(body: bytes = b"\x30\x01\x00", asked: CertID = SHA1, version: int = 1) -> Publication:
    return published(answer_path(asked), body, version)


@dataclass
class Shelf:
    """A destination in memory. While `trouble` is set it refuses; it may lose all that it had."""

    items: dict[str, bytes] = field(default_factory=dict)
    trouble: str = ""
    lost: bool = False
    sent: int = 0

    def holds(self, since: int) -> bool:
        return not self.lost

    def wanted(self) -> None:
        pass

    def send(self, items: Sequence[Item]) -> None:
        if self.trouble:
            raise Unavailable(self.trouble)
        self.lost = False
        self.sent += len(items)
        self.items.update((item.path, item.body) for item in items)


@dataclass
class Desk:
    """A publisher over a store, and what feeds targets from it."""

    store: Store
    folder: Folder
    now: int = NOW

    def put(self, *publications: Publication) -> None:
        for one in publications:
            Publisher(self.store, self.folder).put(one)

    def feed(self, shelf: Destination, name: str = "edge", only: Sequence[str] = ()) -> TargetState:
        target = Target(name, "shelf", name, False, frozenset(only), shelf)
        return feed(self.store, self.folder, target, self.now)


@pytest.fixture
def desk(store: Store, tmp_path: Path) -> Desk:
    return Desk(store, Folder(tmp_path / "public"))


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()
