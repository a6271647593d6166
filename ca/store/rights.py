"""What the role that writes may do on PostgreSQL: each table with the verbs that the code needs, and no others.

The owner of the tables (`database.migrate_url`) grants them after each migration, so that a table of a new migration
is closed until it has a line here. Whoever holds the writer's password changes no table, no row of the journal, and of
an intent or a key nothing but its state, and of a certificate nothing but that and its owner.
"""

from collections.abc import Mapping

import peewee
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from ca.errors import ConfigError

_ADD = "SELECT, INSERT"
_CHANGE = "SELECT, INSERT, UPDATE"

RIGHTS: Mapping[str, str] = {
    # the journal
    "event": _ADD,
    "event_personal": "SELECT, INSERT, DELETE",  # erasure; the entry keeps its commitment
    "journal_queue": "SELECT, INSERT, DELETE",
    "journal_leaf": _ADD,
    "journal_head": _ADD,
    "journal_state": "SELECT, UPDATE (fence)",
    # the hierarchy
    "issuer": "SELECT, INSERT, UPDATE (state)",
    "signing_key": "SELECT, INSERT, UPDATE (state)",
    "responder": _ADD,
    # issuance and revocation
    "intent": "SELECT, INSERT, UPDATE (state)",
    "certificate": "SELECT, INSERT, UPDATE (revoked_at, reason, owner)",
    "certificate_name": _ADD,
    "certificate_parent": _ADD,
    "certificate_tag": "SELECT, INSERT, DELETE",
    "revocation": "SELECT, INSERT, UPDATE (reason, actor, comment, invalidity_date, generation, entry)",
    "held": _CHANGE,
    "mass_revocation": _CHANGE,
    "stopwatch": _CHANGE,
    "blocked_key": "SELECT, INSERT, DELETE",
    "shard": _CHANGE,
    "ocsp": "SELECT, INSERT, UPDATE, DELETE",
    # publication
    "publication": f"{_CHANGE}, DELETE",  # of OCSP answers alone, by a policy: CRLs stay
    "counter": "SELECT, UPDATE",
    "target": _CHANGE,
    "notice": "SELECT, INSERT, UPDATE (due_at, sent_at, failures, trouble), DELETE",
    # access
    "api_token": "SELECT, INSERT, UPDATE (revoked_at, last_used)",
    "idempotency": "SELECT, INSERT, UPDATE, DELETE",
    # people
    "person": _CHANGE,
    "passkey": "SELECT, INSERT, UPDATE (sign_count, last_used), DELETE",
    "client_certificate": "SELECT, INSERT, DELETE",
    "sign_in_link": "SELECT, INSERT, UPDATE (used_at)",
    "sign_in": "SELECT, INSERT, UPDATE (seen_at, fresh_at, ended_at, method)",
    "webauthn_challenge": "SELECT, INSERT, DELETE",
    "throttle": "SELECT, INSERT, UPDATE, DELETE",
    "saved_view": "SELECT, INSERT, UPDATE (name, query, team), DELETE",
    "proposal": "SELECT, INSERT, UPDATE (state, decided_by, decided_at, assertion, outcome)",
    # work
    "lease": _CHANGE,
    "job_run": _CHANGE,
    "setting": _CHANGE,
    "schema_migration": "SELECT",
    # ACME
    "acme_account": _CHANGE,
    "acme_order": "SELECT, INSERT, UPDATE, DELETE",  # what is finished goes; certificates and revocations never
    "acme_need": "SELECT, INSERT, DELETE",
    "acme_authorization": "SELECT, INSERT, UPDATE, DELETE",
    "acme_challenge": "SELECT, INSERT, UPDATE, DELETE",
    "acme_attempt": "SELECT, INSERT, DELETE",
    "acme_eab": "SELECT, INSERT, UPDATE (accounts, revoked_at)",
    "acme_limit": "SELECT, INSERT, UPDATE, DELETE",
    "acme_pause": "SELECT, INSERT, UPDATE, DELETE",
    "acme_star": "SELECT, INSERT, UPDATE, DELETE",
    "acme_renewal": "SELECT, INSERT, UPDATE, DELETE",
    "acme_replacement": "SELECT, INSERT, UPDATE, DELETE",
}
NUMBERED = ("event", "certificate")
"""Tables whose ids come from a sequence."""


def role_of(url: str) -> str:
    """The role of a PostgreSQL URL. Raises `ConfigError` when it names none."""
    role = conninfo_to_dict(url).get("user")
    if not role:
        raise ConfigError("database.url names no role.", next_step="Write postgresql://ROLE@HOST/NAME.")
    return str(role)


def grant(database: peewee.Database, role: str) -> None:
    """Gives a role exactly these rights, in one transaction. Raises the driver's errors."""
    with database.atomic():
        for statement in _statements(role):
            database.execute_sql(statement.as_string(None))


def _statements(role: str) -> list[sql.Composed]:
    """All of them; `role` may be any text."""
    to = sql.Identifier(role)
    made = [
        sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC, {}").format(to),
        sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(to),
        sql.SQL("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {}").format(to),
    ]
    tables = [
        sql.SQL(f"GRANT {verbs} ON {{}} TO {{}}").format(sql.Identifier(table), to) for table, verbs in RIGHTS.items()
    ]
    numbers = [
        sql.SQL("GRANT USAGE ON SEQUENCE {} TO {}").format(sql.Identifier(f"{table}_id_seq"), to) for table in NUMBERED
    ]
    return [*made, *tables, *numbers]
