"""Each search finds its page in an index, in the order of the list: see `ca.store.search`.

The order "issued" is the order of the ids, with which every index ends. Names get a table without their mirror
image, and every domain that a name lies below a row of its own.
"""

from collections.abc import Iterator
from typing import Any

import peewee

from ca.store.columns import base, reference, text

DEPTH = 10
BATCH = 5000

_OUT = ("issued_at_id", "not_after_id", "sort_name_id", "profile_issued_at_id", "owner", "account", "token", "revoked")
_IN = (
    "certificate_state ON certificate (id, not_after, revoked_at)",
    "certificate_expiry ON certificate (not_after, id, revoked_at)",
    "certificate_sort ON certificate (sort_name, id, not_after, revoked_at)",
    "certificate_profile ON certificate (profile, id)",
    "certificate_issuer ON certificate (issuer, id)",
    "certificate_owner ON certificate (owner, id) WHERE owner <> ''",
    "certificate_account ON certificate (account, id) WHERE account <> ''",
    "certificate_token ON certificate (token, id) WHERE token <> ''",
    "certificate_revoked ON certificate (id) WHERE revoked_at > 0",
)


def up(_migrator: Any, db: peewee.Database) -> None:
    """Exchanges the indexes, and files every name again."""
    for index in _OUT:
        db.execute_sql(f"DROP INDEX certificate_{index}")
    for index in _IN:
        db.execute_sql(f"CREATE INDEX {index}")
    _file_names(db)


def _file_names(db: peewee.Database) -> None:
    db.execute_sql("ALTER TABLE certificate_name RENAME TO old_name")
    for index in ("value", "reversed"):
        db.execute_sql(f"DROP INDEX certificate_name_{index}")
    _make_tables(db)
    db.execute_sql("CREATE INDEX certificate_name_value_certificate ON certificate_name (value, certificate)")
    last: tuple[Any, ...] = (0, "", "")
    marks = ", ".join([db.param] * 3)
    page = (
        "SELECT certificate, kind, value FROM old_name "
        f"WHERE (certificate, kind, value) > ({marks}) ORDER BY certificate, kind, value LIMIT {BATCH}"
    )
    while rows := db.execute_sql(page, last).fetchall():
        _insert(db, "certificate_name", {(row[0], row[2]) for row in rows})
        _insert(db, "certificate_parent", {(row[0], parent) for row in rows for parent in _parents(*row[1:])})
        last = rows[-1]
    db.execute_sql("DROP TABLE old_name")


def _make_tables(db: peewee.Database) -> None:
    """Both ways: from a certificate to its names, and from a name to its certificates in the order of issue."""

    class CertificateName(base(db, primary_key=peewee.CompositeKey("certificate", "value"))):  # type: ignore[misc]
        certificate = reference("certificate")
        value = text()

    class CertificateParent(base(db, primary_key=peewee.CompositeKey("parent", "certificate"))):  # type: ignore[misc]
        certificate = reference("certificate")
        parent = text()

    for table in (CertificateName, CertificateParent):
        table._meta.without_rowid = isinstance(db, peewee.SqliteDatabase)
        db.create_tables([table], safe=False)


def _parents(kind: str, value: str) -> Iterator[str]:
    labels = value.split(".") if kind in ("dns", "cn") else []
    for start in range(max(1, len(labels) - DEPTH), len(labels)):
        yield ".".join(labels[start:])


def _insert(db: peewee.Database, table: str, rows: set[tuple[int, str]]) -> None:
    ordered = sorted(rows)
    for start in range(0, len(ordered), BATCH):
        some = ordered[start : start + BATCH]
        marks = ", ".join([f"({db.param}, {db.param})"] * len(some))
        values = [one for row in some for one in row]
        db.execute_sql(f"INSERT INTO {table} VALUES {marks} ON CONFLICT DO NOTHING", values)
