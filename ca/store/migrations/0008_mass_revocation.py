"""Revocations of many, step by step; and how long each revocation took to be seen."""

from typing import Any

import peewee

from ca.store.columns import base, integer, text


def up(_migrator: Any, db: peewee.Database) -> None:
    """Makes both tables."""

    class MassRevocation(base(db, indexes=((("state", "created_at"), False),))):  # type: ignore[misc]
        id = text(primary_key=True)
        query = text()
        request = text()
        state = text()
        total = integer()
        revoked = integer()
        skipped = integer()
        created_at = integer()
        updated_at = integer()
        cursor = text()

    class Stopwatch(base(db, primary_key=peewee.CompositeKey("issuer", "serial"))):  # type: ignore[misc]
        issuer = text()
        serial = text()
        asked_at = integer()
        good_until = integer()
        ocsp_ms = integer()
        crl_ms = integer()

    db.create_tables([MassRevocation, Stopwatch], safe=False)
    db.execute_sql("CREATE INDEX stopwatch_running ON stopwatch (asked_at) WHERE crl_ms < 0 OR ocsp_ms < 0")
