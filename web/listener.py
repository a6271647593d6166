"""One listening socket for all workers of a process, over Granian.

Granian gives each worker a socket of its own (SO_REUSEPORT): a second server on the same port is not
noticed, and connections that wait in the socket of a worker that is replaced are reset. Here the parent
binds one socket and the workers inherit it, so a busy port is an error, and a renewal of the certificate
(SIGHUP) loses nobody.
"""

import socket
import ssl
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import structlog
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.net import SocketHolder  # type: ignore[attr-defined]
from granian.server.mp import MPServer

from ca.errors import ConfigError, Conflict
from ca.signals import Told
from web import leaving

CONNECTIONS = 1024
"""Connections that one worker holds open; more wait in the backlog."""

HEAD_SECONDS = 15
"""Time for a request's head, and the longest time that a connection may lie idle."""

UNSENT_SECONDS = 60
"""Time after which a client that takes nothing of its answer is dropped."""


class Address(NamedTuple):
    """A host and port to listen on."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """`127.0.0.1:8443`, `[::1]:8443` or `localhost:8443`. Raises `ConfigError`."""
        host, _, port = text.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ConfigError(f"{text!r} is no address to listen on.", next_step="Write HOST:PORT or [IPV6]:PORT.")
        return cls(host.strip("[]"), int(port))


class KeyPair(NamedTuple):
    """PEM files of a server certificate with its chain, and of its key."""

    chain: Path
    key: Path


class Listener(MPServer):
    """Granian with one shared socket. `serve(target_loader=…, wrap_loader=False)` blocks until SIGTERM or SIGINT."""

    def __init__(self, address: Address, workers: int, tls: KeyPair | None = None) -> None:
        super().__init__(
            "certwright",
            address=address.host,
            port=address.port,
            interface=Interfaces.RSGI,
            workers=workers,
            http=HTTPModes.http1,
            websockets=False,
            backpressure=CONNECTIONS,
            http1_settings=HTTP1Settings(header_read_timeout=HEAD_SECONDS * 1000, max_buffer_size=64 * 1024),
            log_level=LogLevels.warning,
            log_dictconfig={"loggers": {"_granian": {"propagate": True}}},
            ssl_cert=tls.chain if tls else None,
            ssl_key=tls.key if tls else None,
            ssl_protocol_min=SSLProtocols.tls12,
            respawn_failed_workers=True,
            respawn_interval=2.0,
            workers_kill_timeout=10,
        )
        self.main_loop_interrupt = Told()  # type: ignore[assignment]  # Granian's handlers set it
        if tls:
            self.on_reload(lambda: self._take(tls))

    def _init_shared_socket(self) -> None:
        """Overrides Granian's (pinned by tests/web/test_listener.py): binds here, workers inherit."""
        self._sso = bind(Address(self.bind_addr, self.bind_port), self.backlog)
        self._shd = SocketHolder(self._sso.fileno(), False, self.backlog)  # type: ignore[call-arg, assignment]
        self._ssp = None

    def _drop_shared_socket(self) -> None:
        """Overrides Granian's, which calls it first of all when it ends: its workers are told right afterwards."""
        if self._sso is not None:
            arguments = (self._sso.dup(), [worker.inner.pid for worker in self.wrks])
            threading.Thread(target=leaving.refuse_when_left, args=arguments, daemon=True).start()
        super()._drop_shared_socket()  # type: ignore[no-untyped-call]

    def _take(self, tls: KeyPair) -> None:
        """Before workers are replaced: looks where the links lead now. A pair that does not fit is not taken."""
        try:
            self.build_ssl_context(tls.chain, tls.key, None, SSLProtocols.tls12, None, [], False)
        except (OSError, ssl.SSLError) as error:
            structlog.get_logger().error("certificate.unusable", path=str(tls.chain), reason=str(error))


def bind(address: Address, backlog: int = 1024) -> socket.socket:
    """A listening TCP socket. Raises `Conflict` when the address is in use or not this machine's."""
    try:
        listening = _bound(address)
        listening.listen(backlog)
    except OSError as error:
        raise Conflict(
            f"Cannot listen at {address.host}:{address.port}: {error.strerror}.",
            next_step=f"See who does by 'ss -ltnp sport = :{address.port}', or choose another port.",
        ) from None
    listening.setblocking(False)
    listening.set_inheritable(True)
    return listening


def _bound(address: Address) -> socket.socket:
    family, kind, _, _, target = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family, kind)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _drop_dead_clients(listening)
        listening.bind(target)
    except OSError:
        listening.close()
        raise
    return listening


def _drop_dead_clients(listening: socket.socket) -> None:
    """Accepted sockets inherit both options on Linux."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNSENT_SECONDS * 1000)


def serve(listener: Listener, make: Callable[..., Any], *arguments: Any) -> None:
    """Serves what `make(*arguments)` builds in each worker, until SIGTERM or SIGINT."""
    listener.serve(target_loader=partial(make, *arguments), wrap_loader=False)
