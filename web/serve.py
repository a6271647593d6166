"""The web process: Granian workers over HTTPS with the CA's own server certificate, renewed without dropping anyone.

The parent holds the socket and neither database nor signer; each worker opens the authority for itself. When
the certificate on disk is another one, the parent tells itself SIGHUP, and Granian replaces the workers one by
one: the new one listens before the old one stops.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from ca.authority import Authority, certificate_sign_on, open_authority
from ca.config import Config
from ca.errors import CAError
from web import certificate_door, metrics
from web.app import MAX_BODY, create_app, load
from web.gate import Bounds, Gate
from web.listener import Address, KeyPair, Listener, bind, serve

LOOK_EVERY = 5.0
"""Seconds between two looks at the certificate on disk."""

GONE = (0, 0)
"""What a file is that is not there: no reason to replace what is served."""


def run(config: Config, faces: frozenset[str]) -> None:
    """The web process: serves `server.https_listen` until SIGTERM or SIGINT.

    Raises `Conflict` for a busy port, and what issuing raises when there is no server certificate yet and none
    can be made.
    """
    metrics.prepare(config)
    load(faces)
    pair = server_certificate(config)
    listener = Listener(Address.parse(config.server.https_listen), config.server.workers, pair)
    door = certificate_socket(config, faces)
    close = metrics.listen(config)
    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(pair.chain, stop, _renew), name="certificate", daemon=True)
    watcher.start()
    try:
        serve(listener, make_gate, config, faces, door)
    finally:
        stop.set()
        close()


def certificate_socket(config: Config, faces: frozenset[str]) -> socket.socket | None:
    """The socket of the door for client certificates, which all workers share. Raises `Conflict` and `ConfigError`."""
    listen = config.ui.client_certificates.listen
    if not listen or "ui" not in faces:
        return None
    held = _in_force(config)
    certificate_door.demand_roots(held)
    listen = held.ui.client_certificates.listen
    return bind(Address.parse(listen)) if listen else None


def _in_force(config: Config) -> Config:
    """With the approved value of what waits for a second person: a door that nobody approved is not opened either."""
    authority = open_authority(config)
    try:
        return authority.config
    finally:
        authority.store.close()


def make_gate(config: Config, faces: frozenset[str], door: socket.socket | None = None) -> Gate:
    """What a worker serves: the application over an authority of its own, and the door for client certificates.

    Half of its threads may wait for the signer: while that hangs, the others answer what needs no signature.
    """
    authority = open_authority(config, places=max(1, config.server.threads // 2))
    if door and certificate_sign_on.offered(authority):  # not while a second person has to approve it
        certificate_door.open_door(authority, door)
    app = create_app(authority, faces)
    bounds = Bounds(body=MAX_BODY, threads=config.server.threads, waiting=config.server.threads * 16)
    return Gate(app, bounds)


def server_certificate(config: Config) -> KeyPair:
    """The key pair of the own doors, made or renewed now if it is due.

    While the HSM is away, an older certificate that is still there is served on: it is better than no door.
    """
    authority = open_authority(config)
    try:
        _renew_if_possible(authority)
        own = authority.own_certificate()
        return KeyPair(own.chain, own.key)
    finally:
        authority.store.close()


def _renew_if_possible(authority: Authority) -> None:
    own = authority.own_certificate()
    try:
        authority.renew_own_certificate()
    except CAError as error:
        if not (own.chain.exists() and own.key.exists()):
            raise
        structlog.get_logger().warning("certificate.not_renewed", detail=error.detail, next_step=error.next_step)


def _watch(chain: Path, stop: threading.Event, renew: Callable[[], None]) -> None:
    """Calls `renew` each time the file behind `chain` has become another one."""
    seen = _identity(chain)
    while not stop.wait(LOOK_EVERY):
        now = _identity(chain)
        if now not in (seen, GONE):
            seen = now
            structlog.get_logger().info("certificate.reloaded", path=str(chain))
            renew()


def _identity(path: Path) -> tuple[int, int]:
    """Inode and time of what the path leads to; nothing while it leads nowhere."""
    try:
        found = path.stat()
    except OSError:
        return GONE
    return (found.st_ino, found.st_mtime_ns)


def _renew() -> None:
    os.kill(os.getpid(), signal.SIGHUP)
