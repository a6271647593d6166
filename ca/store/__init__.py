"""The records office: every record of the authority, on SQLite or PostgreSQL by the URL alone.

    store = Store.open("sqlite:///state/certwright.sqlite")
    with store.transaction():          # BEGIN IMMEDIATE / BEGIN; nested blocks are the same transaction
        store.begin(intent)
        journal.append(event)

A read needs no block; `with store.reading():` keeps one connection for several. Other rooms keep tables of
their own: a migration in `migrations/NNNN_name.py` (see `ca.store.columns`), then either SQL text, through
`store.rows(sql, *values)` and `store.change(sql, *values)` with `?` for values, or a `Shape` for a frozen
record, through `store.select/first/insert`, or peewee models, through `store.query(q)` and `store.run(q)`.
"""

from ca.config import Config
from ca.store.database import sqlite_path
from ca.store.event_search import EventQuery
from ca.store.migrate import migrate, pending
from ca.store.rights import role_of
from ca.store.shapes import Shape
from ca.store.store import Store
from ca.store.values import (
    Backlog,
    Chained,
    EventRow,
    Head,
    IdempotencyKey,
    JobRun,
    Leaf,
    Lease,
    OcspMark,
    Personal,
    Replay,
    ShardState,
    TargetState,
)

__all__ = [
    "Backlog",
    "Chained",
    "EventQuery",
    "EventRow",
    "Head",
    "IdempotencyKey",
    "JobRun",
    "Leaf",
    "Lease",
    "OcspMark",
    "Personal",
    "Replay",
    "Shape",
    "ShardState",
    "Store",
    "TargetState",
    "bring_up_to_date",
    "migrate",
    "open_store",
    "pending",
]


def bring_up_to_date(config: Config) -> list[str]:
    """Applies the migrations that wait, as the owner of the tables (`database.migrate_url`) where there is one.

    On PostgreSQL the role of `database.url` is then granted what it needs. Raises what `migrate` raises.
    """
    url, owner = config.database_url(), config.database_url(config.database.migrate_url)
    writer = role_of(url) if owner != url and sqlite_path(owner) is None else ""
    return migrate(owner, writer=writer if writer and writer != role_of(owner) else "")


def open_store(config: Config) -> Store:
    """The store that the configuration names. Raises what `Store.open` raises."""
    return Store.open(config.database_url(), timeout=config.database.timeout)
