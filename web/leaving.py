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
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

HANDSHAKE_SECONDS = 1.0
"""How long a worker that accepts no more waits before it ends."""

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


def _listens(descriptor: int) -> bool:
    """Whether the descriptor is a listening socket. Looks through a duplicate, which is closed again."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as found:
            return bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False
