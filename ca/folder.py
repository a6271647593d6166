"""The publication folder: signed bytes as files, one a path, for a status plane that has no database.

The folder is a cache of the publication rows. A file is written beside its place and renamed, so a reader
sees the old one or the new one, and an older version never replaces a newer one, whichever process comes
last. Nothing is synced to the disk: after a reboot the folder counts as empty and is filled again from the
rows (`ca.publish.feed`).
"""

import fcntl
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec

from ca.errors import BadRequest, Unavailable
from ca.records import Publication
from ca.shared import make_folder, opened

_MAGIC = b"CWP2"
_NUMBER = 4
"""Octets of the length of the header, and of the CRC-32 over header and body, which follow the magic."""
_BUCKETS = 64
_GRAMMAR = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}(/[A-Za-z0-9][A-Za-z0-9._-]{0,199}){0,3}")
_ROOM = 64 * 1024
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class _Header(msgspec.Struct, array_like=True, frozen=True):
    path: str
    version: int
    content_type: str
    this_update: int
    fresh_until: int
    fence: int
    seq: int
    size: int


class _Mark(msgspec.Struct, frozen=True):
    boot: str
    seq: int


_header = msgspec.msgpack.Decoder(_Header)
_mark = msgspec.json.Decoder(_Mark)


class Folder:
    """One publication folder. Any number of processes may read and write it at once."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def get(self, path: str) -> Publication | None:
        """What is published at a path; None if nothing is, if the file is torn, or if this is no such path.

        Raises `Unavailable` when the disk refuses.
        """
        if not _GRAMMAR.fullmatch(path):
            return None
        try:
            raw = (self.root / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise _unusable(self.root, error) from error
        return _parse(path, raw)

    def names(self, directory: str) -> Iterator[str]:
        """The paths of the files that lie directly in a directory. Raises `Unavailable` when the disk refuses."""
        try:
            found = sorted(entry.name for entry in os.scandir(self.root / directory) if entry.is_file())
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise _unusable(self.root, error) from error
        yield from (f"{directory}/{name}" for name in found if not name.startswith("."))

    def stamp(self, path: str) -> object | None:
        """What changes whenever `get(path)` would answer other bytes, for one stat; None if there is no file."""
        if not _GRAMMAR.fullmatch(path):
            return None
        try:
            found = (self.root / path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def apply(self, publication: Publication) -> bool:
        """Makes it the file at its path unless that one is as new or newer; answers whether it did (INC-02).

        Raises `BadRequest` for a path outside the grammar, `Unavailable` when the disk refuses.
        """
        if not _GRAMMAR.fullmatch(publication.path):
            raise BadRequest(f"{publication.path!r} is no publication path.")
        with self._locked(publication.path):
            current = self.get(publication.path)
            if current is not None and current.version >= publication.version:
                return False
            replaced(self.root / publication.path, _render(publication))
            return True

    def drop_ended(self, directory: str, before: int) -> int:
        """Removes the files below a directory whose content ended before that time; says how many.

        Raises `Unavailable` when the disk refuses.
        """
        return sum(map(partial(self._drop_if_ended, before), self._written(directory, before)))

    def _written(self, directory: str, before: int) -> Iterator[str]:
        """The paths of the files below a directory that were last written before that time."""
        try:
            with os.scandir(self.root / directory) as found:
                for entry in found:
                    if entry.is_dir():
                        yield from self._written(f"{directory}/{entry.name}", before)
                    elif not entry.name.startswith(".") and entry.stat().st_mtime < before:
                        yield f"{directory}/{entry.name}"
        except FileNotFoundError:
            return
        except OSError as error:
            raise _unusable(self.root, error) from error

    def _drop_if_ended(self, before: int, path: str) -> bool:
        with self._locked(path):
            found = self.get(path)
            if found is None or not 0 < found.fresh_until < before:
                return False
            (self.root / path).unlink()
            return True

    def demand_room(self) -> None:
        """Returns when a file can be written here now: it writes one. Raises `Unavailable`."""
        with self._locked(".room"):
            replaced(self.root / ".room", bytes(_ROOM))

    @property
    def fed(self) -> int:
        """The place in the sequence of publications up to which this folder is known to be filled; 0 after a boot."""
        try:
            mark = _mark.decode((self.root / ".fed").read_bytes())
        except (OSError, msgspec.DecodeError):
            return 0
        return mark.seq if mark.boot == boot() else 0

    @fed.setter
    def fed(self, seq: int) -> None:
        with self._locked(".fed"):
            replaced(self.root / ".fed", msgspec.json.encode(_Mark(boot(), seq)))

    @contextmanager
    def _locked(self, path: str) -> Iterator[None]:
        """Alone with the paths of one bucket, among threads and processes."""
        locks = self.root / ".locks"
        try:
            make_folder(locks, 0o755)
            name = locks / f"{zlib.crc32(path.encode()) % _BUCKETS:02d}"
            with open(opened(name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644), "w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise _unusable(self.root, error) from error


def _unusable(root: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"The publication folder {root} cannot be used: {error.strerror}.",
        next_step="Check its owner and mode, and the space on its disk; it is filled again from the database.",
    )


def boot() -> str:
    """What changes with each boot of this machine, and with the form of the files; where nothing tells, a reboot
    is not noticed."""
    try:
        return f"{_MAGIC.decode()} {_BOOT.read_text().strip()}"
    except OSError:
        return _MAGIC.decode()


def replaced(target: Path, content: bytes, after: int = 0, mode: int = 0) -> None:
    """Makes it the content of a file, whole or not at all, with a time not before `after`. Raises `OSError`.

    With a `mode` it has that one, whatever umask and folder say.

    Nobody else may write the same file meanwhile: they would share the file beside it.
    """
    make_folder(target.parent, 0o755)
    beside = target.parent / f".{target.name}.new"
    with open(opened(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), "wb") as file:
        file.write(content)
        if mode:
            os.fchmod(file.fileno(), mode)
    if after > beside.stat().st_mtime:
        os.utime(beside, (after, after))
    beside.replace(target)


def _render(publication: Publication) -> bytes:
    header = msgspec.msgpack.encode(
        _Header(
            publication.path,
            publication.version,
            publication.content_type,
            publication.this_update,
            publication.fresh_until,
            publication.fence,
            publication.seq,
            len(publication.body),
        )
    )
    crc = zlib.crc32(publication.body, zlib.crc32(header))
    return b"".join((_MAGIC, _octets(len(header)), _octets(crc), header, publication.body))


def _octets(number: int) -> bytes:
    return number.to_bytes(_NUMBER, "big")


def _parse(path: str, raw: bytes) -> Publication | None:
    length, crc, start = (len(_MAGIC) + n * _NUMBER for n in range(3))
    end = start + int.from_bytes(raw[length:crc], "big")
    if raw[:length] != _MAGIC or raw[crc:start] != _octets(zlib.crc32(memoryview(raw)[start:])):
        return None  # after a power loss a file can have its length and not its content
    try:
        header = _header.decode(raw[start:end])
    except msgspec.DecodeError:
        return None
    body = raw[end:]
    if header.path != path or header.size != len(body):
        return None
    return Publication(
        path,
        body,
        header.version,
        header.content_type,
        header.this_update,
        header.fresh_until,
        header.fence,
        header.seq,
    )
