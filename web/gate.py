"""The gate: a request is read whole, bounded in bytes and in seconds, before a thread is spent on it.

Granian's WSGI threads read bodies themselves and wait for them without a deadline, so a few clients that
send slowly stop a process (docs/adr/0006). The gate therefore speaks RSGI: it reads on the event loop, then
calls the WSGI application, on a thread of its own pool, or on the loop itself when the application never
blocks (the status plane).

A request that broke a bound still reaches the application, without its body and with the HTTP status in
`REFUSED`, so that each face answers in its own form, counts and logs in one place.
"""

import asyncio
import io
import json
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import structlog
from granian.rsgi import ProtocolClosed, ProtocolError, Scope  # type: ignore[attr-defined]

from acme_server.environ import REFUSED
from web import leaving

DRAIN_OCTETS = 16 * 1024 * 1024
DRAIN_SECONDS = 2.0
"""How much of a body that is too large is still read, so that its sender gets to see the answer."""

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


BLOCKING = "certwright.blocking"
"""In the environ of an application that runs on the event loop: may it wait for something? "ask": say so by raising
`MustBlock`; "yes", on a thread; "no": no thread is free, do without. Absent where the gate is not in front."""


class MustBlock(Exception):
    """The application would have to wait: it is called again on a thread, or told to do without."""


class Transport(Protocol):
    """What the gate uses of Granian's RSGI protocol object."""

    async def __call__(self) -> bytes: ...
    def __aiter__(self) -> Any: ...
    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a process is ready to spend. `threads` 0: the application does not block and runs on the event loop, but for
    at most `blocking` requests at a time that have to wait.
    """

    body: int
    body_seconds: float = 10.0
    request_seconds: float = 60.0
    threads: int = 0
    waiting: int = 128
    blocking: int = 0


class Answer(NamedTuple):
    """A whole HTTP response."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def _problem(status: int, title: str, detail: str) -> Answer:
    problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    headers = [("content-type", "application/problem+json"), ("retry-after", "2"), ("cache-control", "no-store")]
    return Answer(status, headers, json.dumps(problem).encode())


BUSY = _problem(503, "Service Unavailable", "Every thread is busy and enough requests wait already.")
TOO_SLOW = _problem(503, "Service Unavailable", "The request took too long; what it began may still happen.")
BROKEN = _problem(500, "Internal Server Error", "Something is wrong here; the log of the server tells what.")

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNKNOWN = "UNKNOWN"
"""What every other method is called inside, where each face refuses it in its own form: a name made up by a client
would become a label of the metrics, each a new one."""

_BASE: Environ = {
    "SCRIPT_NAME": "",
    "SERVER_SOFTWARE": "certwright",
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
    "wsgi.input_terminated": True,
}


class Gate:
    """An RSGI application in front of a WSGI application."""

    def __init__(self, application: Application, bounds: Bounds) -> None:
        self.application = application
        self.bounds = bounds
        self._crew = ThreadPoolExecutor(bounds.threads, "request") if bounds.threads else None
        self._places = threading.BoundedSemaphore(bounds.threads + bounds.waiting)
        self._waiters = ThreadPoolExecutor(bounds.blocking, "blocking") if bounds.blocking else None
        self._free = bounds.blocking

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Granian calls it when the worker's loop is there."""
        leaving.gently(loop)

    async def __rsgi__(self, scope: Scope, transport: Transport) -> None:
        """Answers one request; a client that went away is no error."""
        try:
            environ = environ_of(scope)
            await self._read(environ, transport)
            answer = await self._call(environ)
            transport.response_bytes(*answer)
        except ProtocolClosed:
            return

    async def _read(self, environ: Environ, transport: Transport) -> None:
        """Puts the body, or the status of its refusal, into the environ."""
        length = environ.get("CONTENT_LENGTH", "")
        environ["wsgi.input"] = io.BytesIO()
        if length in ("", "0") and "HTTP_TRANSFER_ENCODING" not in environ:
            return
        if length and int(length) > self.bounds.body:
            await self._refuse_large(environ, transport)
            return
        try:
            async with asyncio.timeout(self.bounds.body_seconds):
                body = await (transport() if length else _read_some(transport, self.bounds.body + 1))
        except TimeoutError:
            environ[REFUSED] = 408
            return
        except (ProtocolClosed, ProtocolError):  # the sender left off in the middle of it, or sent chunks that are none
            environ[REFUSED] = 400
            return
        if len(body) > self.bounds.body:
            environ[REFUSED] = 413
            return
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))

    async def _refuse_large(self, environ: Environ, transport: Transport) -> None:
        """Reads on for a moment and drops it: many clients look for no answer while they still send."""
        environ[REFUSED] = 413
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await _read_some(transport, DRAIN_OCTETS, keep=False)

    async def _call(self, environ: Environ) -> Answer:
        if self._crew is None:
            return await self._on_loop(environ)
        if not self._places.acquire(blocking=False):
            return BUSY
        job = self._crew.submit(call, self.application, environ)
        job.add_done_callback(lambda _: self._places.release())
        try:
            async with asyncio.timeout(self.bounds.request_seconds):
                return await asyncio.wrap_future(job)
        except TimeoutError:
            return TOO_SLOW

    async def _on_loop(self, environ: Environ) -> Answer:
        """At once, or on a thread if it has to wait and one is free. The body, if any, is read anew each time."""
        environ[BLOCKING] = "ask"
        try:
            return call(self.application, environ)
        except MustBlock:
            environ["wsgi.input"].seek(0)
        if self._waiters is None or not self._free:
            environ[BLOCKING] = "no"
            return call(self.application, environ)
        environ[BLOCKING] = "yes"
        self._free -= 1
        try:
            return await asyncio.wrap_future(self._waiters.submit(call, self.application, environ))
        finally:
            self._free += 1


async def _read_some(transport: Transport, bound: int, *, keep: bool = True) -> bytes:
    """The body, cut off at `bound` octets; without `keep` it is read and thrown away."""
    body, seen = bytearray(), 0
    async for chunk in transport:
        seen += len(chunk)
        body += chunk if keep else b""
        if seen >= bound:
            break
    return bytes(body[:bound])


def environ_of(scope: Scope) -> Environ:
    """The WSGI environ (PEP 3333) of an RSGI scope, without its body.

    Header names with an underscore are dropped: in an environ they could pass for others.
    """
    server, _, port = scope.server.rpartition(":")
    environ = {
        **_BASE,
        "REQUEST_METHOD": scope.method if scope.method in METHODS else UNKNOWN,
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_PROTOCOL": "HTTP/1.0" if scope.http_version == "1" else f"HTTP/{scope.http_version}",
        "SERVER_NAME": server.strip("[]"),
        "SERVER_PORT": port,
        "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
        "wsgi.url_scheme": scope.scheme,
    }
    for name, value in scope.headers.items():
        if "_" in name:
            continue
        key = name.upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


def call(application: Application, environ: Environ) -> Answer:
    """Runs a WSGI application to its end; whatever it raises is logged and answered with 500."""
    try:
        return _call(application, environ)
    except MustBlock:
        raise
    except Exception:  # noqa: BLE001 - the edge of a request
        structlog.get_logger().exception("request.failed", path=environ["PATH_INFO"])
        return BROKEN


def _call(application: Application, environ: Environ) -> Answer:
    started: list[tuple[int, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: object = None) -> None:
        started.append((int(status[:3]), headers))

    body = application(environ, start_response)
    try:
        content = b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()
    return Answer(*started[-1], content)
