"""Proposals: deeds that one person proposes and another approves."""

from typing import Any

import peewee

from ca.store.columns import base, integer, text


def up(_migrator: Any, db: peewee.Database) -> None:
    """Makes the table."""

    class Proposal(base(db, indexes=((("state", "proposed_at"), False),))):  # type: ignore[misc]
        id = text(primary_key=True)
        kind = text()
        body = text()
        proposed_by = text()
        proposed_at = integer()
        expires_at = integer()
        state = text()
        decided_by = text()
        decided_at = integer()
        assertion = text()
        outcome = text()

    db.create_tables([Proposal], safe=False)
