"""TLS client certificates, each bound to the person whom it signs in."""

from typing import Any

import peewee

from ca.store.columns import base, integer, text


def up(_migrator: Any, db: peewee.Database) -> None:
    """Makes the table; a certificate signs in one person."""

    class ClientCertificate(base(db)):  # type: ignore[misc]
        sha256 = text(primary_key=True)
        person = text(index=True)
        subject = text()
        not_after = integer()
        bound_at = integer()
        bound_by = text()

    db.create_tables([ClientCertificate], safe=False)
