"""Bringing the tables up to date: by the supervisor or by hand, under a lock, never by a lone child."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import peewee
from playhouse.migrations import Runner

from ca.errors import StoreUnavailable
from ca.shared import opened
from ca.store.database import connect, disconnect, sqlite_path
from ca.store.edge import translated
from ca.store.rights import grant

FOLDER = Path(__file__).parent / "migrations"
_ADVISORY_LOCK = 0x63657274

PATIENCE = 3
"""Seconds that a migration on PostgreSQL waits for a lock, and writers behind it: less than writers wait."""


def migrate(url: str, timeout: int = 60, *, writer: str = "") -> list[str]:
    """Applies the migrations that wait and answers their names. Two at once wait for one another.

    Each is a transaction of its own: after a crash the next run goes on where it stopped. While writers are at work
    it waits for `timeout` seconds in all, but never stands in their way for longer than PATIENCE before it has begun.
    Makes the file and folder of a SQLite database (0600 and 0700) if need be. On PostgreSQL the role `writer` then
    has the rights that it needs, and no others. Raises `StoreUnavailable`.
    """
    path = sqlite_path(url)
    if path is not None:
        _make(path)
    database, *_ = connect(url, timeout if path else PATIENCE)
    try:
        with translated(), database.connection_context():
            if not writer and not waiting(database):
                return []
            with _locked(database, path, timeout):
                applied = _applied(database, timeout)
                if writer:
                    grant(database, writer)
                return applied
    finally:
        disconnect(database)


def _applied(database: peewee.Database, timeout: int) -> list[str]:
    """Applies what waits. A lock that is not had in PATIENCE is let go, so that writers pass, and asked for again."""
    before = set(waiting(database))
    end = time.monotonic() + timeout
    while True:
        try:
            Runner(database, str(FOLDER)).up()
        except peewee.OperationalError as error:
            if "lock timeout" not in str(error) or time.monotonic() > end:
                raise
        else:
            return sorted(before)


def pending(url: str, timeout: int = 10) -> list[str]:
    """The names of the migrations that wait, in order. Changes nothing; a SQLite file that is not there lacks all."""
    path = sqlite_path(url)
    if path is not None and not path.exists():
        return [file.stem for file in _migrations()]
    database, *_ = connect(url, timeout)
    with translated(), database.connection_context():
        return waiting(database)


def waiting(database: peewee.Database) -> list[str]:
    """The same, over a database that is connected."""
    return [one.name for one in Runner(database, str(FOLDER)).status() if one.path and not one.applied]


def _migrations() -> list[Path]:
    return sorted(FOLDER.glob("[0-9]*.py"))


def _make(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(opened(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreUnavailable(
            f"The database {path} cannot be made: {error.strerror}.", next_step="Check owner and mode of its folder."
        ) from None


@contextmanager
def _locked(database: peewee.Database, path: Path | None, timeout: int) -> Iterator[None]:
    if path is None:
        database.execute_sql("SELECT set_config('lock_timeout', %s, false)", (f"{timeout}s",))
        database.execute_sql("SELECT pg_advisory_lock(%s)", (_ADVISORY_LOCK,))
        database.execute_sql("SELECT set_config('lock_timeout', %s, false)", (f"{PATIENCE}s",))
        try:
            yield
        finally:
            database.execute_sql("SELECT pg_advisory_unlock(%s)", (_ADVISORY_LOCK,))
        return
    with open(opened(f"{path}.migrating", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
