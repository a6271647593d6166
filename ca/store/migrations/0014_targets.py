"""How far each publication target is."""

from typing import Any

import peewee

from ca.store.columns import base, integer, text


def up(_migrator: Any, db: peewee.Database) -> None:
    """Makes the table."""

    class Target(base(db)):  # type: ignore[misc]
        name = text(primary_key=True)
        seq = integer()
        reached_at = integer()
        behind_since = integer()
        failures = integer()
        trouble = text()
        due_at = integer()

    db.create_tables([Target], safe=False)
