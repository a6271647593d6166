"""What people label certificates with: from a certificate to its tags, and from a key or a tag to its certificates."""

from typing import Any

import peewee

from ca.store.columns import base, reference, text


def up(_migrator: Any, db: peewee.Database) -> None:
    """Makes the table; each search follows its index in the order of issue."""

    class CertificateTag(base(db, primary_key=peewee.CompositeKey("certificate", "key"))):  # type: ignore[misc]
        certificate = reference("certificate")
        key = text()
        tag = text()

    CertificateTag._meta.without_rowid = isinstance(db, peewee.SqliteDatabase)
    db.create_tables([CertificateTag], safe=False)
    for column in ("key", "tag"):
        db.execute_sql(f"CREATE INDEX certificate_tag_{column}_certificate ON certificate_tag ({column}, certificate)")
