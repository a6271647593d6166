"""Bringing the tables up to date: by the supervisor or by hand, under a lock, never by a lone child."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import peewee
from playhouse.migrations import Runner

from ca.errors import StoreUnavailable
from ca.store.database import connect, disconnect, sqlite_path
from ca.store.edge import translated

FOLDER = Path(__file__).parent / "migrations"
_ADVISORY_LOCK = 0x63657274


def migrate(url: str, timeout: int = 60) -> list[str]:
    """Applies the migrations that wait and answers their names. Two at once wait for one another.

    Each is a transaction of its own: after a crash the next run goes on where it stopped. Makes the file
    and folder of a SQLite database (0600 and 0700) if need be. Raises `StoreUnavailable`.
    """
    path = sqlite_path(url)
    if path is not None:
        _make(path)
    database, *_ = connect(url, timeout)
    with translated(), database.connection_context(), _locked(database, path):
        applied: list[str] = Runner(database, str(FOLDER)).up()
    disconnect(database)
    return applied


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
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreUnavailable(
            f"The database {path} cannot be made: {error.strerror}.", next_step="Check owner and mode of its folder."
        ) from None


@contextmanager
def _locked(database: peewee.Database, path: Path | None) -> Iterator[None]:
    if path is None:
        database.execute_sql("SELECT pg_advisory_lock(%s)", (_ADVISORY_LOCK,))
        try:
            yield
        finally:
            database.execute_sql("SELECT pg_advisory_unlock(%s)", (_ADVISORY_LOCK,))
        return
    with open(f"{path}.migrating", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
