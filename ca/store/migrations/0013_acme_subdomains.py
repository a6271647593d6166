"""An authorization may be for a domain and all below it (RFC 9444)."""

from typing import Any

import peewee


def up(_migrator: Any, db: peewee.Database) -> None:
    """Adds the column."""
    db.execute_sql("ALTER TABLE acme_authorization ADD COLUMN subdomains BIGINT NOT NULL DEFAULT 0")
