"""Public keys that are known to be compromised."""

from typing import Any

import peewee

from ca.store.columns import base, integer, text


def up(_migrator: Any, db: peewee.Database) -> None:
    """Makes the table."""

    class BlockedKey(base(db)):  # type: ignore[misc]
        spki_sha256 = text(primary_key=True)
        reported_by = text()
        blocked_at = integer(index=True)
        source = text()
        comment = text()

    db.create_tables([BlockedKey], safe=False)
