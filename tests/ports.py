"""Ports for servers under test."""

import random
import socket


def free_port() -> int:
    """A TCP port of 127.0.0.1 at which nobody listens.

    Below the range that the kernel gives to clients: between this answer and the server's bind, no connection of
    another test takes it. Drawn at random, so that test workers do not draw the same.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
