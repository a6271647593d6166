"""The status plane: what relying parties fetch over plain HTTP, and nothing else (CONTRACT.md, "URLs (plain HTTP)").

A process of its own without database, keys or credentials: it reads the publication folder and nothing more.
The application is a bare WSGI callable that never blocks; see `docs/status-plane.md` for its manners.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from cryptography import x509

from acme_server.environ import REFUSED
from ca.clock import Clock, system_clock
from ca.config import Config
from ca.errors import BadRequest, NotFound, Unavailable
from ca.folder import Folder
from ca.ocsp.paths import answer_path, cert_id
from ca.ocsp.refusals import malformed_request, try_later, unauthorized
from ca.ocsp.request import from_path, parse_request
from web import metrics
from web.caching import Headers, Reply, reply
from web.gate import Bounds, Gate
from web.listener import Address, Listener, serve
from web.shelf import Shelf

if TYPE_CHECKING:
    from web.counters import StatusCounts

MAX_REQUEST = 4096
"""Octets of an OCSP request, in a POST's body or (as base64) in a GET's path."""

BOUNDS = Bounds(body=MAX_REQUEST, body_seconds=5.0)

READ = ("GET", "HEAD")
UNCACHED = ("cache-control", "no-store")

Environ = Mapping[str, Any]
StartResponse = Callable[[str, Headers], Any]
Outcome = Literal[
    "ok", "not_modified", "unauthorized", "try_later", "malformed", "not_found", "method", "refused", "unavailable"
]
Result = tuple[Outcome, Reply]
"""What the metrics call it, and the answer."""


class StatusPlane:
    """The WSGI application. Shared between threads at will."""

    def __init__(self, folder: Folder, clock: Clock, counts: "StatusCounts") -> None:
        self.shelf = Shelf(folder)
        self.clock = clock
        self._counts = counts

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answers by the table `DOORS`; every other path is 404, every other method 405."""
        door, groups = _door(environ["PATH_INFO"])
        result, answer = self._answer(door, groups, environ)
        self._counts.add(door.name, result)
        start_response(answer.status, answer.headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body]

    def _answer(self, door: "Door", groups: str, environ: Environ) -> Result:
        if environ["REQUEST_METHOD"] not in door.methods:
            return "method", _text("405 Method Not Allowed", ("allow", ", ".join(door.methods)))
        if REFUSED in environ:
            return door.refused(environ[REFUSED])
        try:
            return door.answer(self, environ, groups)
        except Unavailable:
            return door.trouble()

    def ocsp_post(self, environ: Environ, _: str) -> Result:
        """RFC 6960 A.1: the request is the body."""
        return self._ocsp(environ, _path_of_der, environ["wsgi.input"].read(MAX_REQUEST))

    def ocsp_get(self, environ: Environ, encoded: str) -> Result:
        """RFC 5019 §5: base64 in the path, with what clients do to it: slashes, blanks, other alphabets."""
        if len(encoded) > MAX_REQUEST:
            return _malformed()
        return self._ocsp(environ, _path_of_text, encoded)

    def _ocsp(self, environ: Environ, path_of: Callable[[Any], str], request: bytes | str) -> Result:
        """The pre-signed answer; whatever has none gets a short unsigned one with HTTP 200."""
        try:
            path = path_of(request)
        except BadRequest:
            return _malformed()
        except NotFound:
            return _unauthorized()
        shelved = self.shelf.find(path)
        if shelved is None:
            return _unauthorized()
        now = self.clock()
        return _try_later() if shelved.expired(now) else _good(reply(shelved, environ, now))

    def staple(self, environ: Environ, serial: str) -> Result:
        """The answer of a serial for servers that take a file (HAProxy, Envoy); 404 when there is no current one."""
        now = self.clock()
        for path in self._answers(int(serial, 16)):
            shelved = self.shelf.find(path)
            if shelved is not None and not shelved.expired(now):
                return _good(reply(shelved, environ, now))
        return _missing()

    def _answers(self, serial: int) -> Iterator[str]:
        """Where the answer of a serial lies under each published issuer."""
        for name in self.shelf.names("ca"):
            issuer = self.shelf.find(name) if name.endswith(".cer") else None
            if issuer is not None:
                yield answer_path(cert_id(x509.load_der_x509_certificate(issuer.publication.body), serial, "sha1"))

    def file(self, environ: Environ, path: str) -> Result:
        """A published file: CRLs (with ranges), certificates, chains, roots."""
        shelved = self.shelf.find(path)
        if shelved is None:
            return _missing()
        return _good(reply(shelved, environ, self.clock(), ranges=path.startswith("crl/")))

    def ready(self, _environ: Environ, _: str) -> Result:
        """200 when the roots are readable here and no CRL of an issuing CA in office has ended: this folder is fed.

        The root's CRLs come from a ceremony: no other host could do better.
        """
        if self.shelf.find("roots.pem") is None or any(self._ended_crls()):
            return _unready()
        return "ok", _text("200 OK")

    def _ended_crls(self) -> Iterator[str]:
        now = self.clock()
        for name in (one for one in self.shelf.names("ca") if one.endswith(".cer")):
            issuer = self.shelf.find(name)
            if issuer is not None and _in_office(issuer.publication.body, now):
                paths = self.shelf.names(f"crl/{name[len('ca/') : -len('.cer')]}")
                yield from (path for path in paths if (found := self.shelf.find(path)) and found.expired(now))

    def nothing(self, _environ: Environ, _: str) -> Result:
        """Behind every other path."""
        return _missing()


def _in_office(certificate: bytes, now: int) -> bool:
    """Whether it is an issuing CA's, and has not ended."""
    ca = x509.load_der_x509_certificate(certificate)
    return ca.issuer != ca.subject and now < ca.not_valid_after_utc.timestamp()


# --- from a request to the path of its answer ---------------------------------------------------

_REPAIR = str.maketrans({" ": "+", "-": "+", "_": "/"})

# Servers that staple ask the same again and again: two thirds of the time of an answer would be parsing.
# What is longer than RFC 5019 §5 has it (a nonce, several certificates) is not worth its place.
_REMEMBERED = 8192
_SHORT = 255


def _path_of_der(der: bytes) -> str:
    """Raises what `parse_request` raises."""
    return _remember_der(der) if len(der) <= _SHORT else answer_path(parse_request(der).cert_id)


def _path_of_text(encoded: str) -> str:
    """Raises what `from_path` and `parse_request` raise."""
    return _remember_text(encoded) if len(encoded) <= _SHORT else _path_of_der(_decode(encoded))


def _decode(encoded: str) -> bytes:
    return from_path(encoded.translate(_REPAIR).lstrip("/").rstrip("="))


@lru_cache(_REMEMBERED)
def _remember_der(der: bytes) -> str:
    return answer_path(parse_request(der).cert_id)


@lru_cache(_REMEMBERED)
def _remember_text(encoded: str) -> str:
    return answer_path(parse_request(_decode(encoded)).cert_id)


# --- the outcomes -------------------------------------------------------------------------------


def _good(answer: Reply) -> Result:
    return ("not_modified" if answer.status.startswith("304") else "ok"), answer


def _refusal(der: bytes) -> Reply:
    """DER, short and uncached (STANDARDS §4)."""
    kind = ("content-type", "application/ocsp-response")
    return Reply("200 OK", [kind, ("content-length", str(len(der))), UNCACHED], der)


def _malformed(_status: int = 0) -> Result:
    return "malformed", _refusal(malformed_request())


def _unauthorized() -> Result:
    return "unauthorized", _refusal(unauthorized())


def _try_later() -> Result:
    return "try_later", _refusal(try_later())


def _missing() -> Result:
    return "not_found", _text("404 Not Found")


def _unready() -> Result:
    return "unavailable", _text("503 Service Unavailable", ("retry-after", "5"))


def _refused(status: int) -> Result:
    return "refused", _text(f"{status} Refused", ("connection", "close"))


def _text(status: str, *headers: tuple[str, str]) -> Reply:
    body = f"{status[4:]}\n".encode()
    kind = ("content-type", "text/plain; charset=utf-8")
    return Reply(status, [kind, ("content-length", str(len(body))), UNCACHED, *headers], body)


# --- the doors ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Door:
    """One kind of URL: its name in the metrics, its paths and methods, what answers, and what stands in for it.

    `refused` answers a request that broke a bound of the gate, `trouble` one that finds the folder unreadable.
    """

    name: str
    paths: re.Pattern[str]
    methods: tuple[str, ...]
    answer: Callable[[StatusPlane, Environ, str], Result]
    refused: Callable[[int], Result] = _refused
    trouble: Callable[[], Result] = _unready


_ISSUER = r"[a-z0-9][a-z0-9-]{0,62}"

DOORS: tuple[Door, ...] = (
    Door("ocsp_get", re.compile(r"/ocsp/(.+)", re.DOTALL), READ, StatusPlane.ocsp_get, _malformed, _try_later),
    Door("ocsp_post", re.compile(r"/ocsp/?()"), ("POST",), StatusPlane.ocsp_post, _malformed, _try_later),
    Door("crl", re.compile(rf"/(crl/{_ISSUER}/(?:(?:delta/)?[0-9a-f]{{4}}|full)\.crl)"), READ, StatusPlane.file),
    Door("ca", re.compile(rf"/(ca/{_ISSUER}\.(?:cer|pem))"), READ, StatusPlane.file),
    Door("chain", re.compile(rf"/(chain/{_ISSUER}\.pem)"), READ, StatusPlane.file),
    Door("roots", re.compile(r"/(roots\.pem)"), READ, StatusPlane.file),
    Door("staple", re.compile(r"/staple/((?:[0-9a-f]{2}){1,20})\.der"), READ, StatusPlane.staple),
    Door("ready", re.compile(r"/ready()"), READ, StatusPlane.ready),
)
"""Everything that answers on plain HTTP."""

NO_DOOR = Door("none", re.compile("(.*)", re.DOTALL), (*READ, "POST"), StatusPlane.nothing)


def _door(path: str) -> tuple[Door, str]:
    """The door of a path, and the part of the path that it wants."""
    for door in DOORS:
        found = door.paths.fullmatch(path)
        if found is not None:
            return door, found[1]
    return NO_DOOR, path


# --- the process --------------------------------------------------------------------------------


def application(config: Config, clock: Clock = system_clock) -> StatusPlane:
    """The WSGI callable over the publication folder of a configuration."""
    from web.counters import StatusCounts

    return StatusPlane(Folder(config.path(config.ca.publication_dir)), clock, StatusCounts())


def make_gate(config: Config) -> Gate:
    """What a worker of the status process serves."""
    return Gate(application(config), BOUNDS)


def run(config: Config) -> None:
    """The status process: serves `server.http_listen` until SIGTERM or SIGINT. Raises `Conflict` for a busy port."""
    metrics.prepare(config)
    close = metrics.listen(config)
    try:
        serve(Listener(Address.parse(config.server.http_listen), workers=1), make_gate, config)
    finally:
        close()
