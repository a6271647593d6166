"""OCSP answers that ended long ago are deleted: they are found by their end, and a service may delete nothing else."""

from typing import Any

import peewee

_POLICIES = (
    "ALTER TABLE publication ENABLE ROW LEVEL SECURITY",  # for all but its owner, who migrates
    "CREATE POLICY read ON publication FOR SELECT USING (true)",
    "CREATE POLICY add ON publication FOR INSERT WITH CHECK (true)",
    "CREATE POLICY change ON publication FOR UPDATE USING (true)",
    "CREATE POLICY drop_answers ON publication FOR DELETE USING (path LIKE 'ocsp/%')",
)


def up(_migrator: Any, db: peewee.Database) -> None:
    """Makes the index, and on PostgreSQL the policies."""
    db.execute_sql("CREATE INDEX publication_fresh_until ON publication (fresh_until) WHERE fresh_until > 0")
    if isinstance(db, peewee.PostgresqlDatabase):
        for statement in _POLICIES:
            db.execute_sql(statement.replace("%", "%%"))
