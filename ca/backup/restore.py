"""Reading a backup back: to see that it could be restored, which leaves nothing behind, or into an empty database."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_der_public_key

from ca import journal
from ca.authority.standing import Restored, suspend
from ca.backup import archive, seal
from ca.backup.take import Tick, nobody, position
from ca.clock import rfc3339
from ca.config import Config
from ca.errors import BadRequest
from ca.keys.signer.pins import Pins
from ca.records import KeyPurpose
from ca.store import Store, dump, migrate

OURS = ("certwright.toml", "keys.json")


@dataclass(frozen=True)
class Sealed:
    """A backup's file and the secret (the text of an identity) that opens it."""

    path: Path
    identity: str


@dataclass
class Contents:
    """What was read: the manifest, the files, and the journal as it verified."""

    manifest: archive.Manifest
    files: dict[str, bytes]
    journal: journal.Report


@dataclass
class _Loading:
    """Puts frames into a database as they come."""

    store: Store
    tick: Tick
    files: dict[str, bytes] = field(default_factory=dict)
    rows: Counter[str] = field(default_factory=Counter)
    table: archive.Table | None = None

    def take(self, frame: archive.Frame) -> None:
        """One frame. Raises `BadRequest` for what this release does not know."""
        match frame:
            case archive.File() if frame.name in OURS:
                self.files[frame.name] = frame.content
            case archive.Table() if frame.name in dump.TABLES and set(frame.columns) == self._columns(frame.name):
                self.table = frame
            case archive.Rows() if self.table is not None and _are_cells(frame.rows):
                dump.insert(self.store, self.table.name, self.table.columns, frame.rows)
                self.rows[self.table.name] += len(frame.rows)
                self.tick(len(frame.rows))
            case _:
                raise BadRequest(
                    f"The backup holds what this release does not know: {getattr(frame, 'name', 'rows')!r}.",
                    next_step="Restore it with the release that made it, then upgrade.",
                )

    def _columns(self, table: str) -> set[str]:
        return set(dump.columns(self.store, table))


def _are_cells(rows: Iterable[Iterable[object]]) -> bool:
    return all(isinstance(cell, archive.VALUES) for row in rows for cell in row)


Judge = Callable[[Store], None]
"""Looks at the restored records inside their transaction, and may add to them or raise."""


def content(_: Store) -> None:
    """Finds nothing to say."""


def verify(sealed: Sealed, judge: Judge = content, tick: Tick = nobody) -> Contents:
    """Reads the whole backup into a database that is thrown away, and verifies its journal; nothing stays.

    Raises `BadRequest` for a damaged one, `JournalBroken` for records that were tampered with, and what `judge` raises.
    """
    with tempfile.TemporaryDirectory(prefix="certwright-restore-") as folder:
        url = f"sqlite:///{folder}/verify.sqlite"
        migrate(url)
        store = Store.open(url)
        try:
            contents = load(store, sealed, judge, tick)
        finally:
            store.close()
    return contents


def load(store: Store, sealed: Sealed, judge: Judge = content, tick: Tick = nobody) -> Contents:
    """Restores into an empty database, all of it or nothing.

    Raises `Conflict` when it is not empty, and what `verify` raises.
    """
    dump.demand_empty(store)
    with store.transaction():
        dump.begin(store)
        loading = _Loading(store, tick)
        unpacking = archive.Unpacking(loading.take)
        with sealed.path.open("rb") as file:
            seal.unseal(file, seal.identity_of(sealed.identity), unpacking.feed)
        manifest = unpacking.end()
        _agrees(manifest, loading, store)
        dump.end(store)
        report = _journal(store)
        judge(store)
    return Contents(manifest, loading.files, report)


def _agrees(manifest: archive.Manifest, loading: _Loading, store: Store) -> None:
    if manifest.schema != dump.schema(store):
        raise BadRequest(
            f"The backup has tables as of {(manifest.schema or ('nowhere',))[-1]}, and this release others.",
            next_step="Restore it with the release that made it, then upgrade.",
        )
    found = dict(loading.rows), *position(store)
    if found != (manifest.rows, manifest.journal, manifest.head):
        raise BadRequest("The backup holds other records than its manifest says.", next_step="Try another copy of it.")


def _journal(store: Store) -> journal.Report:
    keys = {key.id: load_der_public_key(key.spki) for key in iter(store.keys()) if key.purpose == KeyPurpose.JOURNAL}
    return journal.verify(store, keys)


def demand_ours(config: Config, store: Store) -> None:
    """Raises `BadRequest` when this machine's signer has pinned keys, and the backup's are others.

    A backup is sealed for a public key, so anybody may have made it: its journal must be signed by this CA's key.
    """
    path = config.path(config.signer.state_dir) / "keys.json"
    if not path.is_file():
        return
    pinned = {one.key.id: one.key.spki for one in Pins(path, demo=config.mode == "demo").all()}
    for key in iter(store.keys()):
        if key.purpose in (KeyPurpose.JOURNAL, KeyPurpose.ISSUING) and pinned.get(key.id) != key.spki:
            raise BadRequest(
                f"The backup is of another CA: the key {key.id} is not the one that this signer has pinned.",
                next_step="Name the configuration of the CA that it was made of.",
            )


def mark(store: Store, manifest: archive.Manifest) -> None:
    """Has the restored service only revoke, until what is missing was recovered and an operator confirmed it."""
    suspend(store, Restored(manifest.made_at, f"the records are those of {rfc3339(manifest.made_at)}."))
