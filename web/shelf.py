"""The shelf: publications in memory, in front of the folder, within a bound and never behind it."""

import os
from collections.abc import Iterator
from threading import Lock
from typing import NamedTuple

from ca.errors import Unavailable
from ca.folder import Folder
from web.caching import Shelved, shelve

BUDGET = 64 * 1024 * 1024
"""Octets of bodies that one process keeps. What is larger than a quarter of it is read anew each time."""

OVERHEAD = 1024
"""Octets that an entry costs besides its body."""


class Stamp(NamedTuple):
    """What changes with each replacement of a file: it is renamed into place, so its inode is another."""

    inode: int
    modified: int
    size: int


class Shelf:
    """The newest publication of a path, checked against the folder by one stat for each look-up.

    A revocation is therefore seen by the first request after its publication. Safe to share between threads.
    """

    def __init__(self, folder: Folder, budget: int = BUDGET) -> None:
        self._folder = folder
        self._root = f"{folder.root}/"
        self._budget = budget
        self._held = 0
        self._entries: dict[str, tuple[Stamp, Shelved]] = {}
        self._lock = Lock()

    def find(self, path: str) -> Shelved | None:
        """The publication at a path, None when there is none. Raises `Unavailable` when the folder cannot be read."""
        stamp = self._stamp(path)
        known = self._entries.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        shelved = self._read(path) if stamp is not None else None
        with self._lock:
            self._forget(path)
            if stamp is not None and shelved is not None and shelved.size <= self._budget // 4:
                self._keep(path, stamp, shelved)
        return shelved

    def names(self, directory: str) -> Iterator[str]:
        """The paths of the files that lie directly in a directory of the folder."""
        try:
            with os.scandir(self._root + directory) as entries:
                yield from (f"{directory}/{entry.name}" for entry in entries if not entry.name.startswith("."))
        except OSError:
            return

    def _stamp(self, path: str) -> Stamp | None:
        try:
            found = os.stat(self._root + path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unreadable(path, error) from None
        return Stamp(found.st_ino, found.st_mtime_ns, found.st_size)

    def _read(self, path: str) -> Shelved | None:
        try:
            publication = self._folder.get(path)
        except OSError as error:
            raise _unreadable(path, error) from None
        return shelve(publication) if publication is not None else None

    def _keep(self, path: str, stamp: Stamp, shelved: Shelved) -> None:
        """The oldest go first. The stamp was taken before the read: at worst the next look-up reads again."""
        self._entries[path] = (stamp, shelved)
        self._held += shelved.size + OVERHEAD
        while self._held > self._budget:
            self._forget(next(iter(self._entries)))

    def _forget(self, path: str) -> None:
        known = self._entries.pop(path, None)
        if known is not None:
            self._held -= known[1].size + OVERHEAD


def _unreadable(path: str, error: OSError) -> Unavailable:
    return Unavailable(
        f"The publication {path} cannot be read: {error.strerror}.",
        next_step="Check owner and mode of ca.publication_dir, and the disk.",
    )
