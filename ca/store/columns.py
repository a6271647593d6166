"""The kinds of columns that migrations are written with, the same on both databases.

Text is compared octet by octet (SQLite's BINARY, PostgreSQL's "C"), so that keyset paging and prefix ranges
mean the same everywhere. Times are epoch seconds, truth values 0 or 1.
"""

from typing import Any

import peewee

OCTET_TEXT = "OCTETTEXT"
"""The field type of `text()`; `ca.store.database` says how each database spells it."""


class _Text(peewee.TextField):
    field_type = OCTET_TEXT


def text(**options: Any) -> peewee.Field:
    """Text, compared by its octets; empty rather than NULL."""
    return _Text(**{"default": "", **options})


def integer(**options: Any) -> peewee.Field:
    """A signed integer of 64 bits: times, counters, truth values."""
    return peewee.BigIntegerField(**{"default": 0, **options})


def octets(**options: Any) -> peewee.Field:
    """Bytes, as given."""
    return peewee.BlobField(**{"default": b"", **options})


def reference(table: str, column: str = "id", **options: Any) -> peewee.Field:
    """An integer that names a row of another table."""
    return integer(constraints=[peewee.SQL(f"REFERENCES {table} ({column})")], **options)


def base(db: peewee.Database, indexes: tuple[tuple[tuple[str, ...], bool], ...] = (), **options: Any) -> type[Any]:
    """The parent class of a migration's frozen table; `options` are those of peewee's Meta."""
    meta = type("Meta", (), {"database": db, "indexes": indexes, "legacy_table_names": False, **options})
    return type("Table", (peewee.Model,), {"Meta": meta})
