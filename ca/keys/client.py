"""The signer's client: asks the process that owns the token, and knows what an unanswered question means.

signer = SignerClient(config.path(config.signer.socket))
key = private_key(signer, signer.key("issuing-g1"), SignKind.CERTIFICATE)
certificate = builder.sign(key, signature_hash(key.public_key()))
"""

import itertools
import os
import socket
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TypeVar

from ca.errors import BadRequest, CAError, HSMError, HSMUnavailable, NotFound, PossiblySigned, RateLimited
from ca.keys import wire
from ca.keys.algorithms import PrivateKey, load_spki
from ca.keys.circuit import PLACES, Circuit
from ca.keys.handles import private_key_over
from ca.keys.ledger import Entry
from ca.keys.wire import SignerHealth
from ca.records import Key, KeyPurpose, Responder, SignKind
from ca.sockets import socket_address

__all__ = ["PrivateKey", "SignerClient", "SignerHealth", "private_key"]

_IDLE_CONNECTIONS = 8
_IDLE_SECONDS = 30.0
_BACKLOG_PAUSE = 0.01
_GENERATION_SECONDS = 120.0
_READING_SECONDS = 60.0
# The signer gives up first: its "busy" says that nothing was signed, our timeout says nothing.
_GRACE_SECONDS = 1.0
# Health is memory read out: a signer that needs longer for it is not well.
_HEALTH_SECONDS = 1.0
_WELL_SECONDS = 1.0

_Wanted = TypeVar("_Wanted", bound=wire.Answer)


class SignerClient:
    """A client of the signer at `path`. Thread-safe, also over a fork; connects when it is first asked.

    Every method raises `HSMUnavailable` when the signer cannot be reached, and the signer's own errors as
    it raised them. `timeout` is in seconds, for one call. Of this process at most `places` wait for a signature
    or a key at a time, and none while the signer does not answer: see `ca.keys.circuit`.
    """

    def __init__(self, path: Path, *, timeout: float = 10.0, places: int = PLACES) -> None:
        self._path = path
        self._timeout = timeout
        self._ids = itertools.count(1)
        self._idle: list[tuple[float, socket.socket]] = []
        self._owner = os.getpid()
        self._lock = Lock()
        self._circuit = Circuit(self._is_well, places)

    def sign(self, key: str, kind: SignKind, tbs: bytes) -> bytes:
        """The verified signature over the whole `tbs`.

        Raises `PossiblySigned` when the answer did not come: the signature may exist. `SigningRefused`,
        `HSMBusy`, `HSMUnavailable` and `KeyMismatch` mean that nothing was signed.
        """
        request = wire.Sign(next(self._ids), self._timeout, key, kind, tbs)
        return self._ask(request, wire.Signature).signature

    def generate(self, key: str, purpose: KeyPurpose, algorithm: str) -> Key:
        """A new key in the token, pinned by the signer. Raises `Conflict` when the id was ever used."""
        request = wire.Generate(next(self._ids), _GENERATION_SECONDS, key, purpose, algorithm)
        return self._ask(request, wire.OneKey).key

    def certify(self, key: str, certificate: bytes) -> None:
        """Hands the signer the DER certificate of an issuing key. The same one again is no error."""
        self._ask(wire.Certify(next(self._ids), self._timeout, key, certificate), wire.Done)

    def deactivate(self, key: str) -> None:
        """Has the signer take a key out of use for good, but for an issuing key's CRLs. Again is no error."""
        self._ask(wire.Deactivate(next(self._ids), self._timeout, key), wire.Done)

    def renew_responder(self, issuer_key: str) -> Responder:
        """A responder for this issuing key, made inside the signer; at most one a day, then the same again."""
        request = wire.RenewResponder(next(self._ids), _GENERATION_SECONDS, issuer_key)
        return self._ask(request, wire.NewResponder).responder

    def last_crl(self, key: str, scope: str) -> tuple[int, int]:
        """Number and thisUpdate of the newest CRL that the key has signed in a scope (`ca.keys.ledger.scope_of`)."""
        signed = self._ask(wire.LastCrl(next(self._ids), self._timeout, key, scope), wire.CrlSigned)
        return signed.number, signed.this_update

    def freshen(self, published: tuple[bytes, ...], algorithms: tuple[str, ...], nonce: bytes) -> bytes:
        """One OCSP response that says these published answers again; see `ca.keys.signer.freshen`."""
        request = wire.Freshen(next(self._ids), self._timeout, published, algorithms, nonce)
        return self._ask(request, wire.Said).response

    def keys(self) -> tuple[Key, ...]:
        """Every pinned key."""
        return self._ask(wire.Keys(next(self._ids), self._timeout), wire.AllKeys).keys

    def key(self, key_id: str) -> Key:
        """The pinned key of this id. Raises `NotFound`."""
        for key in self.keys():
            if key.id == key_id:
                return key
        raise NotFound(f"The signer has no key {key_id}.", next_step="See 'certwright key list'.")

    def ledger(self) -> Iterator[Entry]:
        """Every entry of the signer's ledger in order, page by page; ends where the ledger ended when it was read."""
        after, more = None, True
        while more:
            request = wire.ReadLedger(next(self._ids), _READING_SECONDS, after)
            page = self._ask(request, wire.LedgerPage).page
            yield from page.entries
            after, more = page.end, page.more

    def health(self) -> SignerHealth:
        """How the signer is; also when it cannot sign. Answers or raises within two seconds."""
        return self._told(wire.Health(next(self._ids), _HEALTH_SECONDS), wire.HealthReport).health

    def unlock(self) -> None:
        """Lets the signer log in once more after the token refused the PIN (operator)."""
        self._ask(wire.Unlock(next(self._ids), self._timeout), wire.Done)

    def accept_clock(self) -> None:
        """Has the signer believe its wall clock as it is now, and enter that. Raises `LedgerBroken`."""
        self._ask(wire.AcceptClock(next(self._ids), self._timeout), wire.Done)

    def close(self) -> None:
        """Closes the idle connections; the next call connects anew."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    # --- one question ---

    def _ask(self, request: wire.Requests, wanted: type[_Wanted]) -> _Wanted:
        with self._circuit.passage():
            return self._told(request, wanted)

    def _is_well(self) -> bool:
        """Whether the signer answers and no call hangs in its module."""
        try:
            return self.health().longest < _WELL_SECONDS
        except HSMError:
            return False

    def _told(self, request: wire.Requests, wanted: type[_Wanted]) -> _Wanted:
        frame = wire.encode(request)
        connection = self._connection(request.seconds)
        try:
            answer = self._exchange(connection, request, frame)
        except BaseException:
            connection.close()
            raise
        self._put_back(connection)
        if isinstance(answer, wire.Failure):
            raise rebuilt(answer)
        if not isinstance(answer, wanted):
            raise _no_answer(request, f"it answered {type(answer).__name__}")
        return answer

    def _exchange(self, connection: socket.socket, request: wire.Requests, frame: bytes) -> wire.Answers:
        try:
            wire.send(connection, frame)
        except OSError as error:
            raise self._turned_away(connection, error) from error
        try:
            size = wire.receive_size(connection, request.seconds + _GRACE_SECONDS)
            answer = wire.decode_answer(wire.receive_body(connection, size))
        except (OSError, EOFError, BadRequest) as error:
            if isinstance(error, TimeoutError) and not isinstance(request, wire.Health):
                self._circuit.silent()
            raise _no_answer(request, str(error) or type(error).__name__) from error
        if not isinstance(request, wire.Health):
            self._circuit.answered()
        if isinstance(answer, wire.Failure) and answer.id == 0:
            raise rebuilt(answer)
        if answer.id != request.id:
            raise _no_answer(request, "it answered another request")
        return answer

    def _turned_away(self, connection: socket.socket, error: OSError) -> CAError:
        """Why the signer closed before it was asked, if it said so. No whole frame arrived: nothing was signed."""
        try:
            answer = wire.decode_answer(wire.receive_body(connection, wire.receive_size(connection, 0.2)))
        except (OSError, EOFError, BadRequest):
            return _unreachable(self._path, error)
        return rebuilt(answer) if isinstance(answer, wire.Failure) else _unreachable(self._path, error)

    # --- connections ---

    def _connection(self, seconds: float) -> socket.socket:
        """An idle connection that the signer has not closed, or a new one."""
        self._forget_foreign()
        while True:
            with self._lock:
                if not self._idle:
                    break
                since, connection = self._idle.pop()
            if time.monotonic() - since < _IDLE_SECONDS and _silent(connection):
                return connection
            connection.close()
        return self._connect(seconds)

    def _forget_foreign(self) -> None:
        """A forked child must not talk on its parent's connections."""
        with self._lock:
            if self._owner != os.getpid():
                self._owner, self._idle = os.getpid(), []

    def _connect(self, seconds: float) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(min(seconds, self._timeout))
            with socket_address(self._path) as address:
                _connect(connection, address)
        except OSError as error:
            connection.close()
            raise _unreachable(self._path, error) from error
        return connection

    def _put_back(self, connection: socket.socket) -> None:
        with self._lock:
            if len(self._idle) < _IDLE_CONNECTIONS:
                self._idle.append((time.monotonic(), connection))
                return
        connection.close()


def _connect(connection: socket.socket, address: str) -> None:
    """Connects within the socket's timeout, also where a burst has filled the signer's backlog.

    A Unix socket with a timeout is refused at once (EAGAIN) by a full backlog: connect(2).
    """
    deadline = time.monotonic() + (connection.gettimeout() or 0)
    while True:
        try:
            return connection.connect(address)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_BACKLOG_PAUSE)


def _silent(connection: socket.socket) -> bool:
    """Between questions the signer says nothing: anything to read is the end of the connection."""
    connection.setblocking(False)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _unreachable(path: Path, error: Exception) -> HSMUnavailable:
    return HSMUnavailable(
        f"The signer at {path} cannot be reached: {error}.",
        next_step="Start it with 'certwright serve' (or '--only signer') and check the socket's group.",
    )


def _no_answer(request: wire.Requests, why: str) -> HSMError:
    """What it means that a question was put and no usable answer came."""
    if isinstance(request, wire.Sign):
        return PossiblySigned(
            f"The signer did not answer: {why}.",
            next_step="Treat the signature as made: the same serial is never signed again.",
        )
    return HSMUnavailable(f"The signer did not answer: {why}.", next_step="See the signer's log, then ask again.")


# --- errors that travelled ----------------------------------------------------------------------


def rebuilt(answer: wire.Failure) -> CAError:
    """The error that the signer raised, of the same class. An unknown code stays an `HSMError`."""
    kind = _classes(CAError).get(answer.code, HSMError)
    if kind is RateLimited:
        return RateLimited(answer.detail, retry_after=answer.retry_after, next_step=answer.next_step)
    return kind(answer.detail, next_step=answer.next_step)


def _classes(root: type[CAError]) -> dict[str, type[CAError]]:
    """Every class of the family by its code; of classes that share one, the most general."""
    found: dict[str, type[CAError]] = {}
    for kind in root.__subclasses__():
        found |= _classes(kind)
    return found | {root.code: root}


def private_key(signer: SignerClient, key: Key, kind: SignKind) -> PrivateKey:
    """A private key for the library's builders: its `sign` sends the whole TBS to the signer, as `kind`."""
    return private_key_over(load_spki(key.spki), partial(signer.sign, key.id, kind))
