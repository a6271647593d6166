"""Renewal information: early windows, and which order replaces which certificate (RFC 9773)."""

from typing import Any

import peewee

from ca.store.columns import base, integer, text


def up(_migrator: Any, db: peewee.Database) -> None:
    """Adds a column to orders and makes the tables."""
    db.execute_sql("ALTER TABLE acme_order ADD COLUMN replaces TEXT NOT NULL DEFAULT ''")
    db.create_tables(_tables(db), safe=False)


def _tables(db: peewee.Database) -> list[type[peewee.Model]]:
    class AcmeRenewal(base(db)):  # type: ignore[misc]
        serial = text(primary_key=True)
        start = integer()
        ending = integer(index=True)

    class AcmeReplacement(base(db)):  # type: ignore[misc]
        serial = text(primary_key=True)
        order_id = text(index=True)
        tries = integer()
        not_after = integer(index=True)

    return [AcmeRenewal, AcmeReplacement]
