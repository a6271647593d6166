"""Every row of the database as one moment had it, and back into an empty one, on either kind of database."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from ca.errors import Conflict
from ca.store.database import POSTGRESQL
from ca.store.edge import translated, unavailable
from ca.store.migrate import waiting
from ca.store.rights import NUMBERED, RIGHTS
from ca.store.store import Store

TABLES = tuple(name for name in RIGHTS if name != "schema_migration")
"""In an order in which each row comes after those that it refers to."""

BATCH = 500
_BEGUN = ("counter", "journal_state", "setting")
"""Tables in which a new database may have rows."""

Rows = Sequence[Sequence[Any]]


@contextmanager
def snapshot(store: Store) -> Iterator[None]:
    """All reads in the block see one moment; writers go on meanwhile. Raises `StoreUnavailable`."""
    begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" if store._dialect is POSTGRESQL else "BEGIN"
    with store.reading(), translated(), store.database.manual_commit():
        store.database.execute_sql(begin)
        try:
            store.last_seq()  # the moment is that of the first read
            yield
        finally:
            store.database.rollback()


def demand_whole(store: Store) -> None:
    """Raises `Conflict` for a table that this release does not know: a backup without it would only seem whole."""
    strange = set(store.database.get_tables()) - {*TABLES, "schema_migration"}
    if strange:
        raise Conflict(
            f"The database has tables that a backup would leave out: {', '.join(sorted(strange)[:3])}.",
            next_step="Use the release that made them, or give each a line in ca/store/rights.py.",
        )


def schema(store: Store) -> tuple[str, ...]:
    """The migrations that this database has had, in order."""
    return tuple(row[0] for row in store.rows("SELECT name FROM schema_migration ORDER BY name"))


def count(store: Store) -> int:
    """How many rows there are in all."""
    return sum(int(store.rows(f"SELECT count(*) FROM {table}")[0][0]) for table in TABLES)  # noqa: S608 - own names


def columns(store: Store, table: str) -> tuple[str, ...]:
    """The columns of a table, in its own order."""
    return tuple(column.name for column in store.database.get_columns(table))


def rows(store: Store, table: str, names: Sequence[str]) -> Iterator[Rows]:
    """The rows of a table, BATCH at a time; inside a snapshot."""
    connection = store.database.connection()
    cursor = connection.cursor(name="dump") if store._dialect is POSTGRESQL else connection.cursor()
    with _driver():
        cursor.execute(f"SELECT {_listed(names)} FROM {table}")  # noqa: S608 - own names
        while batch := cursor.fetchmany(BATCH):
            yield batch
        cursor.close()


def demand_empty(store: Store) -> None:
    """Raises `Conflict` unless the database is up to date and holds nothing: nothing is ever restored over a CA."""
    full = [name for name in TABLES if name not in _BEGUN and store.rows(f"SELECT 1 FROM {name} LIMIT 1")]  # noqa: S608
    with store.reading():
        missing = waiting(store.database)
    if full or missing:
        raise Conflict(
            f"The database is not empty: it has rows in {', '.join(full[:3])}." if full else "It waits for migrations.",
            next_step="Name another one in database.url, or move this one away; nothing is restored over it.",
        )


def begin(store: Store) -> None:
    """Inside the transaction that restores: takes out what a new database begins with."""
    for table in _BEGUN:
        store.change(f"DELETE FROM {table}")  # noqa: S608 - own names


def insert(store: Store, table: str, names: Sequence[str], batch: Rows) -> None:
    """Puts rows back, as they were, into one of TABLES."""
    marks = ", ".join("?" * len(names))
    statement = store._dialect.statement(f"INSERT INTO {table} ({_listed(names)}) VALUES ({marks})")  # noqa: S608
    with _driver():
        store.database.cursor().executemany(statement, batch)


def end(store: Store) -> None:
    """Has numbers that are given out go on after the highest that was restored."""
    if store._dialect is POSTGRESQL:
        for table in NUMBERED:
            store.rows(f"SELECT setval('{table}_id_seq', (SELECT max(id) FROM {table}))")  # noqa: S608 - own names


@contextmanager
def _driver() -> Iterator[None]:
    """What the driver raises where peewee does not stand between, as `StoreUnavailable`."""
    try:
        yield
    except (sqlite3.Error, psycopg.Error) as error:
        raise unavailable(error) from error


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
