"""What people are told, until it is sent and for a while after."""

from typing import Any

import peewee

from ca.store.columns import base, integer, text


def up(_migrator: Any, db: peewee.Database) -> None:
    """Makes the table."""

    class Notice(base(db, indexes=((("channel", "key"), True), (("created_at", "id"), False)))):  # type: ignore[misc]
        id = text(primary_key=True)
        channel = text()
        kind = text()
        owner = text()
        key = text()
        title = text()
        lines = text()
        link = text()
        created_at = integer()
        due_at = integer()
        sent_at = integer()
        failures = integer()
        trouble = text()

    db.create_tables([Notice], safe=False)
    db.execute_sql("CREATE INDEX notice_due ON notice (due_at) WHERE due_at > 0")
