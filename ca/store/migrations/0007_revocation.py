"""Revocation grows: entries kept as DER, holds, shards that are closed and opened, deltas, the list over all shards.

`revocation.generation` and `held.generation` are the shard's generation when the row last changed: what a delta tells
since its base. An empty `entry` waits to be written.
"""

from typing import Any

import peewee

from ca.store.columns import base, integer, octets, text

_INTEGER = "BIGINT NOT NULL DEFAULT 0"
_SHARD = ("ended_at", "base_number", "base_generation", "base_at")


def up(_migrator: Any, db: peewee.Database) -> None:
    """Adds the columns and the table, and a list over all shards to each issuing CA."""
    octets_type = "BLOB NOT NULL DEFAULT x''" if isinstance(db, peewee.SqliteDatabase) else "BYTEA NOT NULL DEFAULT ''"
    db.execute_sql(f"ALTER TABLE revocation ADD COLUMN generation {_INTEGER}")
    db.execute_sql(f"ALTER TABLE revocation ADD COLUMN entry {octets_type}")
    for column in _SHARD:
        db.execute_sql(f"ALTER TABLE shard ADD COLUMN {column} {_INTEGER}")
    db.create_tables([_held(db)], safe=False)
    for table in ("revocation", "held"):
        db.execute_sql(f"CREATE INDEX {table}_unwritten ON {table} (issuer, shard) WHERE length(entry) = 0")
    db.execute_sql(
        "INSERT INTO shard (issuer, shard, generation, published_generation, number, this_update, next_update, open) "
        "SELECT id, -1, 0, 0, 0, 0, 0, 0 FROM issuer WHERE kind = 'issuing'"
    )


def _held(db: peewee.Database) -> type[peewee.Model]:
    class Held(base(db, primary_key=peewee.CompositeKey("issuer", "serial"))):  # type: ignore[misc]
        """Serials on hold (certificateHold), and those that were released: `released_at` is above 0."""

        issuer = text()
        serial = text()
        revoked_at = integer()
        reason = text()
        actor = text()
        not_after = integer()
        comment = text()
        invalidity_date = integer()
        shard = integer()
        released_at = integer()
        generation = integer()
        entry = octets()

    return Held
