"""From a URL to a pooled database; everything in which SQLite and PostgreSQL differ stands here.

Both are pooled: a thread borrows a connection for as long as it reads or has a transaction open.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import peewee
from playhouse.pool import PooledDatabase, PooledSqliteDatabase
from playhouse.postgres_ext import PooledPsycopg3Database

from ca.errors import ConfigError
from ca.store.columns import OCTET_TEXT
from ca.store.turn import Turn

CONNECTIONS = 32
"""The most connections of one process; a thread waits for one as long as for a lock."""

_SQLITE = "sqlite:///"
_POSTGRESQL = "postgresql://"


@dataclass(frozen=True, slots=True)
class Dialect:
    """What the two databases spell differently. `now` is the database's own time in epoch seconds.

    `among` bounds the ids ({id}, {sign}) among the rows of one value of {key} so that an index on both is followed:
    SQLite's planner makes nothing of a pair with a rowid, PostgreSQL's, told "equal", would follow the ids of all.
    """

    placeholder: str
    now: str
    for_update: str
    among: str

    def statement(self, sql: str) -> str:
        """A statement written with `?`, `{now}` and `{for_update}`, as this database wants it."""
        return _spelled(sql, self.placeholder, self.now, self.for_update)


SQLITE = Dialect("?", "CAST(strftime('%s', 'now') AS INTEGER)", "", "{key} = ? AND {id} {sign} ?")
POSTGRESQL = Dialect(
    "%s",
    "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS BIGINT)",
    "FOR UPDATE",
    "({key}, {id}) {sign} (?, ?)",
)


@lru_cache(maxsize=1024)
def _spelled(sql: str, placeholder: str, now: str, for_update: str) -> str:
    return sql.replace("?", placeholder).replace("{now}", now).replace("{for_update}", for_update)


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite URL, None for PostgreSQL. Raises `ConfigError` for any other kind of URL."""
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        return Path(url[len(_SQLITE) :])
    if url.startswith(_POSTGRESQL):
        return None
    raise ConfigError(
        "database.url is no database that this program knows.",
        next_step="Write sqlite:///PATH or postgresql://USER@HOST/NAME.",
    )


Queue = Callable[[], AbstractContextManager[None]]
"""What a writer enters before it begins a transaction."""


def connect(url: str, timeout: int) -> tuple[peewee.Database, Dialect, Queue]:
    """The database of a URL, not yet connected. `timeout` is how long a writer waits for a lock, in seconds."""
    path = sqlite_path(url)
    if path is None:
        return _postgresql(url, timeout), POSTGRESQL, nullcontext
    return _sqlite(path, timeout), SQLITE, Turn(path, timeout).taken


def disconnect(database: peewee.Database) -> None:
    """Closes every connection of the pool, those in use too."""
    cast(PooledDatabase, database).close_all()


class _OneFile(PooledSqliteDatabase):
    """A pool over the file that stands at its path now, and never one that it made itself.

    A new, empty file in place of one that was moved away would take the old one's WAL for its own and delete it, with
    all in it that was committed. Connections to a file that stands elsewhere now are let go before they are lent.
    """

    def __init__(self, path: Path, **options: Any) -> None:
        self._path = path
        self._opened: dict[int, tuple[int, int] | None] = {}
        super().__init__(f"file:{quote(str(path))}?mode=rw", uri=True, **options)  # type: ignore[no-untyped-call]

    def _add_conn_hooks(self, conn: Any) -> None:
        super()._add_conn_hooks(conn)  # type: ignore[misc]
        self._opened[id(conn)] = _identity(self._path)

    def _is_closed(self, conn: Any) -> bool:
        if self._opened.get(id(conn)) == _identity(self._path):
            return False
        self._close_raw(conn)  # type: ignore[no-untyped-call]
        return True


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _sqlite(path: Path, timeout: int) -> peewee.Database:
    pragmas = (
        ("busy_timeout", timeout * 1000),
        ("journal_mode", "wal"),
        ("synchronous", "full"),
        ("foreign_keys", 1),
    )
    return _OneFile(
        path,
        pragmas=pragmas,
        lock_type="IMMEDIATE",
        field_types={OCTET_TEXT: "TEXT"},
        max_connections=CONNECTIONS,
        timeout=timeout,
        check_same_thread=False,  # the pool lends a connection to one thread at a time
    )


_SHORT = "-c jit=off -c max_parallel_workers_per_gather=0"
"""No statement is long enough to be worth a compiler or helpers: starting them costs ten times what a page does."""


def _postgresql(url: str, timeout: int) -> peewee.Database:
    """What was committed is on its disk, whatever the server's default; a server that falls silent is given up."""
    return PooledPsycopg3Database(
        url,
        field_types={OCTET_TEXT: 'TEXT COLLATE "C"'},
        max_connections=CONNECTIONS,
        timeout=timeout,
        connect_timeout=timeout,
        options=f"-c lock_timeout={timeout}s -c synchronous_commit=on {_SHORT}",
        application_name="certwright",
        keepalives_idle=timeout,
        keepalives_interval=max(1, timeout // 3),
        keepalives_count=3,
        tcp_user_timeout=timeout * 1000,
    )
