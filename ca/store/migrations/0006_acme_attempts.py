"""Every try of a challenge that came to a verdict, for whoever asks why; the last one's trail leaves its challenge."""

from typing import Any

import peewee

from ca.store.columns import base, integer, text


def up(_migrator: Any, db: peewee.Database) -> None:
    """Makes the table and drops the column."""

    class AcmeAttempt(base(db)):  # type: ignore[misc]
        id = text(primary_key=True)
        link = text(index=True)
        authorization_id = text(index=True)
        type = text()
        name = text()
        number = integer()
        ended_at = integer()
        ms = integer()
        cause = text()
        facts = text()
        inside = text()
        trail = text()
        expires = integer(index=True)

    db.create_tables([AcmeAttempt], safe=False)
    db.execute_sql("ALTER TABLE acme_challenge DROP COLUMN trail")
