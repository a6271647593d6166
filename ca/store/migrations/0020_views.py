"""Queries that people keep under a name, for themselves or also for a team."""

from typing import Any

import peewee

from ca.store.columns import base, integer, text


def up(_migrator: Any, db: peewee.Database) -> None:
    """Makes the table; a person gives each name once."""

    class SavedView(base(db, indexes=((("person", "name"), True),))):  # type: ignore[misc]
        id = text(primary_key=True)
        person = text()
        name = text()
        query = text()
        team = text()
        created_at = integer()

    db.create_tables([SavedView], safe=False)
    db.execute_sql("CREATE INDEX saved_view_team ON saved_view (team, name) WHERE team <> ''")
