"""Limits of ACME clients, and what is paused (RFC 8555 §6.6)."""

from typing import Any

import peewee

from ca.store.columns import base, integer, text


def up(_migrator: Any, db: peewee.Database) -> None:
    """Adds a column to accounts and makes the tables."""
    db.execute_sql("ALTER TABLE acme_account ADD COLUMN paused BIGINT NOT NULL DEFAULT 0")
    db.create_tables(_tables(db), safe=False)


def _tables(db: peewee.Database) -> list[type[peewee.Model]]:
    class AcmeLimit(base(db)):  # type: ignore[misc]
        subject = text(primary_key=True)
        rest = integer()

    class AcmePause(base(db, primary_key=peewee.CompositeKey("account", "value", "kind"))):  # type: ignore[misc]
        account = text()
        kind = text()
        value = text()
        token = text(unique=True)
        failures = integer()
        paused_at = integer()
        resumed_at = integer()

    return [AcmeLimit, AcmePause]
