"""The signer's socket: accepts, reads frames, answers. A connection is a thread; both are bounded."""

import os
import socket
import stat
from contextlib import nullcontext, suppress
from pathlib import Path
from threading import BoundedSemaphore, Event, Lock, Thread

import structlog

from ca.errors import CAError, ConfigError, HSMBusy, HSMUnavailable, PossiblySigned
from ca.keys import wire
from ca.keys.signer.desk import Desk
from ca.keys.signer.peers import Grant, Peers, peer_uid
from ca.sockets import socket_address

log = structlog.get_logger()

_CONNECTIONS = 256
_PER_USER = 192
"""Connections that one uid may hold: a process that is somebody else's leaves room for the others."""

_LARGE_FRAMES = 2
_IDLE_SECONDS = 120.0
_DRAIN_SECONDS = 15.0


class Doors:
    """The listening socket at `path`, mode 0660. Raises `ConfigError` when it cannot listen there."""

    def __init__(self, path: Path, desk: Desk, peers: Peers) -> None:
        self._path = path
        self._desk = desk
        self._peers = peers
        self._open: dict[socket.socket, tuple[int, Thread]] = {}
        self._lock = Lock()
        self._large = BoundedSemaphore(_LARGE_FRAMES)
        self._closing = Event()
        self._listener = _listen(path)

    def start(self) -> None:
        """Begins to accept."""
        Thread(target=self._accept, name="accept", daemon=True).start()

    def stop(self) -> None:
        """Accepts no more, answers what was asked already (at most `_DRAIN_SECONDS` each), closes."""
        self._closing.set()
        self._path.unlink(missing_ok=True)
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            left = dict(self._open)
        for connection in left:
            # What lies in the buffer is still read and answered; then the connection ends.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RD)
        for _, thread in left.values():
            thread.join(_DRAIN_SECONDS)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError as error:
                if not self._closing.wait(0.1):
                    log.warning("accept.failed", detail=str(error))
                continue
            self._welcome(connection)

    def _welcome(self, connection: socket.socket) -> None:
        thread = Thread(target=self._serve, args=(connection,), name="connection", daemon=True)
        uid = peer_uid(connection)
        with self._lock:
            held = sum(one == uid for one, _ in self._open.values())
            full = self._closing.is_set() or len(self._open) >= _CONNECTIONS or held >= _PER_USER
            if not full:
                self._open[connection] = uid, thread
        if full:
            _turn_away(connection, HSMBusy("The signer has no connection free.", next_step="Nothing was signed."))
            connection.close()
        else:
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        """One connection, to its end. What is no proper frame ends it, with a word why."""
        try:
            grant = self._peers.grant(peer_uid(connection))
            while True:
                self._exchange(connection, grant)
        except CAError as error:
            log.warning("peer.refused", detail=error.detail)
            _turn_away(connection, error)
        except (EOFError, OSError):
            pass
        finally:
            with self._lock:
                self._open.pop(connection, None)
            connection.close()

    def _exchange(self, connection: socket.socket, grant: Grant) -> None:
        size = wire.receive_size(connection, _IDLE_SECONDS)
        with self._large if size > wire.SMALL_FRAME else nullcontext():
            request = wire.decode_request(wire.receive_body(connection, size))
            if wire.has_hung_up(connection):
                # A signer that was stopped for a while finds questions whose askers have given up: nothing is signed.
                raise EOFError("The peer is gone.")
            answer = self._answer(grant, request)
        wire.send(connection, wire.encode(answer))

    def _answer(self, grant: Grant, request: wire.Requests) -> wire.Answers:
        try:
            return self._desk.answer(grant, request)
        except CAError as error:
            # While the token is away every request fails: the watch has said so once, that is enough.
            tell = log.debug if isinstance(error, HSMUnavailable | HSMBusy) else log.warning
            tell("request.refused", op=type(request).__name__, code=error.code, detail=error.detail)
            return wire.failure(request.id, error)
        except Exception:  # the edge: a fault of ours must not end the signer, and says the worst
            log.exception("request.failed", op=type(request).__name__)
            kind = PossiblySigned if isinstance(request, wire.Sign) else HSMUnavailable
            return wire.failure(request.id, kind("The signer failed.", next_step="See the signer's log."))


def _turn_away(connection: socket.socket, error: CAError) -> None:
    with suppress(OSError):
        wire.send(connection, wire.encode(wire.failure(0, error)))


def _listen(path: Path) -> socket.socket:
    """A listening socket; one that a killed signer left behind is replaced."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
            raise ConfigError(f"{path} is no socket.", next_step="Choose another signer.socket.")
        path.unlink(missing_ok=True)
        before = os.umask(0o117)
        try:
            with socket_address(path) as address:
                listener.bind(address)
        finally:
            os.umask(before)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"The signer cannot listen at {path}: {error.strerror}.", next_step="Check signer.socket and its folder."
        ) from error
    return listener
