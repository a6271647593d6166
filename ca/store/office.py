"""What every subject of the records office stands on: connections, transactions and statements.

A domain method is a statement or two, written as SQL text: the query builder costs ten times as much as the
statement itself, and the text is what a reader of a slow-query log sees. Statements are constants; values
travel as parameters.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import peewee

from ca.errors import NotFound
from ca.store.database import Dialect, Queue
from ca.store.edge import translated
from ca.store.shapes import Shape

R = TypeVar("R")


class _Deeds(threading.local):
    """What the open transaction of a thread leaves to be done after its commit."""

    def __init__(self) -> None:
        self.todo: list[Callable[[], None]] = []


class Office:
    """A database with its pool. Safe to share between threads; one thread has one connection at a time."""

    def __init__(self, database: peewee.Database, dialect: Dialect, queue: Queue) -> None:
        self.database = database
        self._dialect = dialect
        self._queue = queue
        self._deeds = _Deeds()

    # --- connections and transactions ---------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction: BEGIN IMMEDIATE on SQLite, BEGIN on PostgreSQL; committed unless the block raises.

        Nested blocks are the same transaction. Raises `StoreUnavailable` when the database is locked, full,
        gone or not migrated; then nothing of it was written.
        """
        if self.database.in_transaction():
            yield
            return
        todo: list[Callable[[], None]] = []
        self._deeds.todo = todo
        with self.reading(), translated(), self._queue(), self.database.atomic():
            yield
        for deed in todo:
            deed()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keeps one connection for several reads, and is the edge for queries of other rooms' tables."""
        if not self.database.is_closed():
            yield
            return
        with translated():
            self.database.connect()
            try:
                yield
            finally:
                self.database.close()

    def in_transaction(self) -> bool:
        """Whether this thread has a transaction open."""
        return bool(self.database.in_transaction())

    def after_commit(self, deed: Callable[[], None]) -> None:
        """Does it when the open transaction has been committed (never if it is rolled back), else at once.

        The deed holds up no other writer, and may not raise: what it is about is durable already.
        """
        if self.in_transaction():
            self._deeds.todo.append(deed)
        else:
            deed()

    def now(self) -> int:
        """The database's own time, in epoch seconds: for leases, which must not depend on a node's clock."""
        return int(self.rows("SELECT {now}")[0][0])

    # --- statements ---------------------------------------------------------------------------

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Every row that a statement answers: a SELECT, or inside a transaction a change with RETURNING."""
        with self.reading():
            return list(self._execute(sql, values).fetchall())

    def change(self, sql: str, *values: Any) -> int:
        """The number of rows that an INSERT, UPDATE or DELETE changed, in the open transaction or its own."""
        with self.transaction():
            return int(self._execute(sql, values).rowcount)

    def _execute(self, sql: str, values: tuple[Any, ...]) -> Any:
        return self.database.execute_sql(self._dialect.statement(sql), values)

    # --- records ------------------------------------------------------------------------------

    def select(self, shape: Shape[R], tail: str = "", *values: Any) -> tuple[R, ...]:
        """Every record that `tail` (WHERE …, ORDER BY …, LIMIT …) picks."""
        return tuple(map(shape.decode, self.rows(shape.select(tail), *values)))

    def first(self, missing: str, shape: Shape[R], tail: str, *values: Any) -> R:
        """The first record that `tail` picks. Raises `NotFound` with `missing` as its words."""
        found = self.select(shape, tail, *values)
        if not found:
            raise NotFound(missing)
        return found[0]

    def insert(self, shape: Shape[R], record: R, **extra: Any) -> None:
        """Writes a new record and the further columns of its table. Raises `Conflict` if it exists already."""
        self.change(shape.insert(tuple(extra), ""), *shape.encode(record), *extra.values())

    # --- queries of other rooms ---------------------------------------------------------------

    def query(self, query: Any) -> list[Any]:
        """The rows of a peewee SELECT (inside a transaction also of a change with RETURNING) over other tables."""
        with self.reading():
            return list(query.execute(self.database))

    def run(self, query: Any) -> int:
        """Executes a peewee INSERT, UPDATE or DELETE; answers what peewee answers, the changed rows for the latter."""
        with self.transaction():
            return int(query.execute(self.database) or 0)
