"""Ports for servers under test."""

import random
import socket
from contextlib import suppress


def free_port() -> int:
    """A TCP port of 127.0.0.1 at which nobody listens.

    Below the range that the kernel gives to clients: between this answer and the server's bind, no connection of
    another test takes it. Drawn at random, so that test workers do not draw the same.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        if is_free(port):
            return port


def is_free(port: int) -> bool:
    """Whether one may listen at this port of 127.0.0.1 now."""
    with socket.socket() as probe, suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        probe.listen(1)
        return True
    return False
