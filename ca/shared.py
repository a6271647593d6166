"""Folders that several users share: what one of them makes there, the others can use.

Such a folder is setgid and writable by its group (`ca.places`), and the kernel hands the group down. What is made
there through this module lets the group do what its owner may, whatever the umask. In any other folder the mode is
the one that was asked for.
"""

import os
import stat
from pathlib import Path

_SHARED = stat.S_ISGID | stat.S_IWGRP


def opened(path: Path | str, flags: int, mode: int) -> int:
    """As `os.open`, for the file's own folder. Raises `OSError`."""
    if flags & os.O_EXCL or not os.path.exists(path):
        return _made(path, flags, mode)
    return os.open(path, flags, mode)


def make_folder(path: Path, mode: int) -> None:
    """Makes a folder and those above it that are missing; one that is there stays as it is. Raises `OSError`."""
    if path.is_dir():
        return
    make_folder(path.parent, mode)
    path.mkdir(mode=mode, exist_ok=True)
    if _is_shared(path.parent):
        path.chmod(stat.S_ISGID | _for_group_too(mode))


def _made(path: Path | str, flags: int, mode: int) -> int:
    descriptor = os.open(path, flags, mode)
    if _is_shared(Path(path).parent) and os.fstat(descriptor).st_uid == os.geteuid():
        os.fchmod(descriptor, _for_group_too(mode))
    return descriptor


def _is_shared(folder: Path) -> bool:
    return folder.stat().st_mode & _SHARED == _SHARED


def _for_group_too(mode: int) -> int:
    return mode | (mode & 0o700) >> 3
