"""External account binding: credentials, who is bound to one, and what one waived (RFC 8555 §7.3.4)."""

from typing import Any

import peewee

from ca.store.columns import base, integer, octets, text


def up(_migrator: Any, db: peewee.Database) -> None:
    """Adds columns to accounts and authorizations and makes the table."""
    for column in ("acme_account ADD COLUMN eab", "acme_account ADD COLUMN binding"):
        db.execute_sql(f"ALTER TABLE {column} TEXT NOT NULL DEFAULT ''")
    db.execute_sql("ALTER TABLE acme_authorization ADD COLUMN waived_by TEXT NOT NULL DEFAULT ''")
    db.execute_sql("CREATE INDEX acme_account_eab ON acme_account (eab) WHERE eab <> ''")
    db.create_tables([_table(db)], safe=False)


def _table(db: peewee.Database) -> type[peewee.Model]:
    class AcmeEab(base(db)):  # type: ignore[misc]
        id = text(primary_key=True)
        name = text()
        wrapped_key = octets()
        patterns = text()
        profiles = text()
        networks = text()
        quota = integer()
        most_accounts = integer()
        allow_wildcard = integer()
        waives_challenges = integer()
        created_by = text()
        created_at = integer(index=True)
        expires_at = integer()
        accounts = integer()
        revoked_at = integer()

    return AcmeEab
