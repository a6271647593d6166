"""Addresses of Unix sockets, however long their paths are."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PATH_OCTETS = 100


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """An address for `bind` or `connect`: a path beyond the 108 octets of sockaddr_un goes through its folder.

    Raises `OSError` as those do: the folder does not exist, or (ENAMETOOLONG) the system has no such way.
    """
    if len(os.fsencode(path)) < _PATH_OCTETS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if not os.path.exists(f"/proc/self/fd/{folder}"):
            raise OSError(errno.ENAMETOOLONG, "the path is too long for a socket on this system")
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
