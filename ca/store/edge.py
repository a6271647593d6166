"""The one edge where errors of the database become errors of the house, with the next step for the reader."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import peewee
import psycopg
from playhouse.pool import MaxConnectionsExceeded

from ca.errors import BadRequest, CAError, Conflict, StoreUnavailable

_MIGRATE = "Run 'certwright db migrate'."

# The drivers tell these apart by their words alone; the first line that matches counts.
_MEANINGS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("no such table", "no such column", "does not exist", "has no column"), "The tables are not there.", _MIGRATE),
    (
        ("already exists", "duplicate column"),
        "The tables are those of another release.",
        "Run the release that made them, or restore a backup; see docs/operations.md, Upgrades.",
    ),
    (
        ("permission denied for schema", "must be owner of"),
        "This role may not change tables.",
        "Name the owner in database.migrate_url and run 'certwright db migrate'.",
    ),
    (
        ("database is locked", "lock timeout", "database table is locked", "deadlock"),
        "The database is busy.",
        "Try again; if it stays, look for a process that holds a transaction open.",
    ),
    (
        ("unable to open",),
        "The database's file is not there, or may not be opened.",
        "Put it back where database.url points, and check its owner and mode; see docs/runbooks/database.md.",
    ),
    (
        ("is full", "no space left", "disk i/o error"),
        "The disk of the database is full or failing.",
        "Free space on it; nothing was written.",
    ),
    (
        ("readonly", "read-only", "permission denied"),
        "The database may not be written.",
        "Check owner and mode of its file and folder, or the rights of its role.",
    ),
    (
        ("not a database", "malformed"),
        "The database is damaged.",
        "Stop the services and restore a backup.",
    ),
)
_GONE = ("The database cannot be reached.", "Check database.url and that the server runs.")


@contextmanager
def translated() -> Iterator[None]:
    """Raises `StoreUnavailable` for what the driver raises; `Conflict` for a row that exists already, and `BadRequest`
    for a value that the database can neither keep nor look for."""
    try:
        yield
    except peewee.IntegrityError as error:
        raise Conflict(
            f"The record contradicts one that exists: {_words(error)}.", next_step="Ask again with a new one."
        ) from error
    except peewee.DataError as error:  # a NUL, or a number out of range: nothing of that kind is kept
        raise BadRequest(f"No record has such a value: {_words(error)}.", next_step="Ask for another one.") from error
    except (peewee.PeeweeException, MaxConnectionsExceeded) as error:
        raise unavailable(error) from error


def unavailable(error: BaseException) -> CAError:
    """What a driver's error means. After a failed ROLLBACK the cause is the error before it."""
    cause: BaseException = error
    while isinstance(cause.__context__, (peewee.PeeweeException, sqlite3.Error, psycopg.Error)):
        cause = cause.__context__
    words = _words(cause)
    for marks, detail, next_step in _MEANINGS:
        if any(mark in words.lower() for mark in marks):
            return StoreUnavailable(f"{detail} ({words})", next_step=next_step)
    return StoreUnavailable(f"{_GONE[0]} ({words})", next_step=_GONE[1])


def _words(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
