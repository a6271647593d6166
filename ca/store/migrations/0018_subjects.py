"""People may come from a provider of OpenID Connect: who they are there."""

from typing import Any

import peewee


def up(_migrator: Any, db: peewee.Database) -> None:
    """Adds the column; nobody there is two people here."""
    db.execute_sql("ALTER TABLE person ADD COLUMN subject TEXT NOT NULL DEFAULT ''")
    db.execute_sql("CREATE UNIQUE INDEX person_subject ON person (subject) WHERE subject <> ''")
