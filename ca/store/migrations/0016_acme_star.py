"""Orders may renew themselves (RFC 8739): what they ask for, and how far each is."""

from typing import Any

import peewee

from ca.store.columns import base, integer, text


def up(_migrator: Any, db: peewee.Database) -> None:
    """Adds the column, and makes the table."""
    db.execute_sql("ALTER TABLE acme_order ADD COLUMN auto_renewal TEXT NOT NULL DEFAULT 'null'")

    class AcmeStar(base(db)):  # type: ignore[misc]
        order_id = text(primary_key=True)
        first = integer()
        number = integer()
        due_at = integer()
        intent = text()

    db.create_tables([AcmeStar], safe=False)
    db.execute_sql("CREATE INDEX acme_star_due ON acme_star (due_at) WHERE due_at > 0")
