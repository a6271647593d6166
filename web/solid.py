"""Files of shared counters without holes.

prometheus_client maps sparse files. The first touch of a hole on a full disk is no error but SIGBUS: it ends the
process, and the next one too, while a CA and above all its status plane have answers to give that need no disk.
Here each block is reserved before it is mapped; where there is none, a worker counts in its own memory.
"""

import os

import structlog
from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

RESERVED = 256 * 1024
"""Octets of one file: more than all series of docs/metrics.md together."""

_LONGEST_ENTRY = 32
"""What an entry has beside its key, at most: lengths, padding, value and time."""


class SolidDict(MmapedDict):
    """The library's mapped dictionary over reserved blocks (pinned by tests/web/test_solid.py)."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        super().__init__(filename if read_mode or _reserve(filename, RESERVED) else _memory(), read_mode)  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        """Raises `OSError` when the file would have to grow and cannot."""
        if self._used + len(key.encode()) + _LONGEST_ENTRY > self._capacity:
            os.posix_fallocate(self._f.fileno(), 0, 2 * self._capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]


def install() -> None:
    """From now on every shared counter of this process lives in a `SolidDict`."""
    values.MmapedDict = SolidDict  # type: ignore[attr-defined]


def _reserve(filename: str, octets: int) -> bool:
    try:
        with open(filename, "ab") as file:
            os.posix_fallocate(file.fileno(), 0, octets)
    except OSError as error:
        structlog.get_logger().warning("metrics.private", path=filename, reason=error.strerror)
        return False
    return True


def _memory() -> str:
    """A file that takes no disk, as a path; the descriptor stays open as long as the process."""
    made = os.memfd_create("counters")
    os.posix_fallocate(made, 0, RESERVED)
    return f"/proc/self/fd/{made}"
