"""Taking a backup: one moment of the database, the configuration and the signer's pins, sealed as it is read."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ca.backup import archive, seal
from ca.config import Config
from ca.errors import BadRequest, CAError, LedgerBroken, NotFound
from ca.keys import ledger
from ca.keys.pin import read_pin
from ca.store import Store, dump

Tick = Callable[[int], None]
"""Is told how many rows were read meanwhile."""


def nobody(_: int) -> None:
    """For those who do not watch."""


@dataclass
class _Taken:
    """What was seen on the way."""

    rows: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Source:
    """What is backed up, by which configuration file, and when (epoch seconds)."""

    config: Config
    file: Path
    store: Store
    now: int

    @property
    def pins(self) -> Path:
        """The signer's pins: public keys, CKA_IDs and certificates."""
        return self.config.path(self.config.signer.state_dir) / "keys.json"


def take(source: Source, recipients: Sequence[str], out: BinaryIO, tick: Tick = nobody) -> archive.Manifest:
    """Writes a sealed backup; answers its manifest. Writers go on meanwhile.

    Raises `BadRequest` without a recipient, or when a file that belongs to it holds the PIN; `Conflict` for a table
    that it would leave out; `StoreUnavailable`.
    """
    sealed_for = seal.recipients_of(recipients)
    files = _files(source)
    made: list[archive.Manifest] = []
    taken = _Taken()

    def last(digest: str) -> archive.Manifest:
        made.append(_manifest(source, taken, digest))
        return made[0]

    with dump.snapshot(source.store):
        dump.demand_whole(source.store)
        seal.seal(archive.packed(_frames(source.store, files, taken, tick), last), out, sealed_for)
    return made[0]


def _frames(store: Store, files: Sequence[archive.File], taken: _Taken, tick: Tick) -> Iterator[archive.Frame]:
    yield from files
    for table in dump.TABLES:
        names = dump.columns(store, table)
        yield archive.Table(table, names)
        for batch in dump.rows(store, table, names):
            taken.rows[table] += len(batch)
            tick(len(batch))
            yield archive.Rows(tuple(map(tuple, batch)))


def _manifest(source: Source, taken: _Taken, digest: str) -> archive.Manifest:
    store = source.store
    journal, head = position(store)
    return archive.Manifest(
        archive.FORMAT,
        source.now,
        dump.schema(store),
        source.config.digest(),
        dict(taken.rows),
        journal,
        head,
        taken.rows["certificate"],
        _crls(store),
        _ledger(source.config),
        digest,
    )


def position(store: Store) -> tuple[int, str]:
    """The entries that the journal's chain has, and its hash (hex) there."""
    try:
        leaf = store.last_leaf()
    except NotFound:
        return 0, ""
    return leaf.index + 1, leaf.chain.hex()


def _crls(store: Store) -> dict[str, int]:
    issuers = [one for one in store.issuers() if one.kind == "issuing"]
    return {
        f"{one.id}/{shard:04x}": store.shard(one.id, shard).number for one in issuers for shard in range(one.shards)
    }


def _ledger(config: Config) -> archive.Ledger | None:
    """How far the ledger is, for those who may read it."""
    try:
        report = ledger.position(config.path(config.signer.state_dir) / "ledger")
    except (LedgerBroken, OSError):
        return None
    return archive.Ledger(report.counter, report.chain.hex())


# --- files --------------------------------------------------------------------------------------


def _files(source: Source) -> list[archive.File]:
    found = [archive.File("certwright.toml", source.file.read_bytes())]
    if source.pins.is_file() and os.access(source.pins, os.R_OK):
        found.append(archive.File("keys.json", source.pins.read_bytes()))
    pin = _pin(source.config)
    for one in found:
        if pin and re.search(rb"(?<![\w-])" + re.escape(pin.encode()) + rb"(?![\w-])", one.content):
            raise BadRequest(
                f"{one.name} holds the PIN: a backup never does.",
                next_step="Take it out of the file; name its place by hsm.pin_source.",
            )
    return found


def _pin(config: Config) -> str:
    """The PIN, for those who may read it: only to see that it is nowhere else."""
    try:
        return read_pin(config.hsm.pin_source, config.path("."))
    except CAError:
        return ""
