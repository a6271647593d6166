"""How a worker leaves: it stops accepting first, finishes what it has begun, and only then goes.

Granian's workers stop at once when they are told to; a TLS handshake under way is cut off, and with TLS 1.3
the client has sent its request by then. So a worker takes its listening sockets out of its event loops,
waits for handshakes to end, and then lets Granian finish the requests. What connects meanwhile goes to the
workers that stay, since all share one socket. On Linux only; elsewhere a worker leaves as Granian has it.
"""

import asyncio
import os
import re
import select
import signal
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

HANDSHAKE_SECONDS = 1.0
"""How long a worker that accepts no more waits before it ends."""

LEAVING_SECONDS = 10.0
"""How long it is awaited that the workers accept no more."""

_FDINFO = Path("/proc/self/fdinfo")


def gently(loop: asyncio.AbstractEventLoop) -> None:
    """From now on SIGTERM makes this worker leave so; SIGINT keeps Granian's own meaning."""
    loop.add_signal_handler(signal.SIGTERM, _leave, loop)


def _leave(loop: asyncio.AbstractEventLoop) -> None:
    stop_accepting()
    loop.call_later(HANDSHAKE_SECONDS, os.kill, os.getpid(), signal.SIGINT)


def stop_accepting() -> None:
    """Takes every listening socket out of every epoll of this process; the sockets stay open for other processes."""
    for loop, target in list(_watched()):
        if _listens(target):
            with suppress(OSError), select.epoll.fromfd(os.dup(loop)) as epoll:
                epoll.unregister(target)


def _watched() -> Iterator[tuple[int, int]]:
    """Each epoll of this process with each descriptor that it watches."""
    for file in _FDINFO.glob("*"):
        with suppress(OSError):
            for target in re.findall(r"^tfd:\s+(\d+)", file.read_text(), re.MULTILINE):
                yield int(file.name), int(target)


def refuse_when_left(listening: socket.socket, workers: Iterable[int]) -> None:
    """When the last of these processes accepts no more, whoever still connects is refused, not left waiting.

    Not before: a worker whose listening socket is shut down under it does not end by itself.
    """
    inode, end = os.fstat(listening.fileno()).st_ino, time.monotonic() + LEAVING_SECONDS
    while any(_accepts(worker, inode) for worker in workers):
        if time.monotonic() > end:
            return
        time.sleep(0.05)
    with suppress(OSError):
        listening.shutdown(socket.SHUT_RDWR)


def _accepts(worker: int, inode: int) -> bool:
    """Whether an epoll of that process watches that socket. What cannot be looked at counts as yes."""
    try:
        told = [file.read_text() for file in Path(f"/proc/{worker}/fdinfo").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{worker}").exists()
    except OSError:
        return True
    return any(int(found, 16) == inode for one in told for found in re.findall(r"^tfd:.* ino:(\w+)", one, re.MULTILINE))


def _listens(descriptor: int) -> bool:
    """Whether the descriptor is a listening socket. Looks through a duplicate, which is closed again."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as found:
            return bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False
