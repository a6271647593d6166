"""The status plane: what relying parties fetch over plain HTTP, and nothing else (CONTRACT.md, "URLs (plain HTTP)").

A process of its own without database, keys or credentials: it reads the publication folder, and may ask the signer to
say again what lies there (`web.live`). The application is a bare WSGI callable that waits for nothing else; see
`docs/status-plane.md` for its manners.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from cryptography import x509

from acme_server.environ import REFUSED
from ca.clock import Clock, system_clock
from ca.config import Config
from ca.errors import BadRequest, NotFound, Unavailable
from ca.folder import Folder
from ca.ocsp.paths import CertID, answer_path, cert_id
from ca.ocsp.refusals import malformed_request, try_later, unauthorized
from ca.ocsp.request import OCSPQuery, from_path, parse_request
from web import metrics
from web.caching import Headers, Reply, Shelved, reply
from web.gate import BLOCKING, Bounds, Gate, MustBlock
from web.listener import Address, Listener, serve
from web.shelf import Shelf

if TYPE_CHECKING:
    from web.counters import StatusCounts
    from web.live import Live

MAX_REQUEST = 4096
"""Octets of an OCSP request, in a POST's body or (as base64) in a GET's path."""

MAX_JOINED = 16
"""Certificates that one request may ask about and get an answer."""

BOUNDS = Bounds(body=MAX_REQUEST, body_seconds=5.0, blocking=4)

READ = ("GET", "HEAD")
UNCACHED = ("cache-control", "no-store")

Environ = Mapping[str, Any]
StartResponse = Callable[[str, Headers], Any]
Outcome = Literal[
    "ok",
    "live",
    "not_modified",
    "unauthorized",
    "try_later",
    "malformed",
    "not_found",
    "method",
    "refused",
    "unavailable",
]
Result = tuple[Outcome, Reply]
"""What the metrics call it, and the answer."""


class StatusPlane:
    """The WSGI application. Shared between threads at will."""

    def __init__(self, folder: Folder, clock: Clock, counts: "StatusCounts", live: "Live | None" = None) -> None:
        self.shelf = Shelf(folder)
        self.clock = clock
        self._counts = counts
        self._live = live
        self.behind: Callable[[], bool] = bool
        self._issuers: dict[str, tuple[Shelved, x509.Certificate]] = {}

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
        return self._ocsp(environ, _read_der, environ["wsgi.input"].read(MAX_REQUEST))

    def ocsp_get(self, environ: Environ, encoded: str) -> Result:
        """RFC 5019 §5: base64 in the path, with what clients do to it: slashes, blanks, other alphabets."""
        if len(encoded) > MAX_REQUEST:
            return _malformed()
        return self._ocsp(environ, _read_text, encoded)

    def _ocsp(self, environ: Environ, read: Callable[[Any], "Asked"], request: bytes | str) -> Result:
        """The pre-signed answer, or one that is signed live; what has neither gets an unsigned one with HTTP 200."""
        try:
            asked = read(request)
        except BadRequest:
            return _malformed()
        except NotFound:
            return _unauthorized()
        shelved = self.shelf.find(asked.path) if asked.path else None
        now = self.clock()
        if shelved is None or asked.query.nonce or shelved.expired(now):
            return self._said_again(environ, asked.query)
        return _good(reply(shelved, environ, now))

    def _said_again(self, environ: Environ, query: OCSPQuery) -> Result:
        """What is published about each certificate, in one answer that the signer makes now; without signer what is
        published as it stands, if that fits, or tryLater. Of a certificate that nothing is known of: unauthorized."""
        now = self.clock()
        found = [self._published(one) for one in query.cert_ids[: MAX_JOINED + 1]]
        known = [one for one in found if one is not None]
        if len(known) < len(found) or len(known) > MAX_JOINED:
            return _unauthorized()
        if any(one.expired(now) for one in known):
            return _try_later()
        try:
            return "live", _refusal(self._ask(environ, query, known))
        except Unavailable:
            fits = len(known) == 1 and query.cert_ids[0].algorithm == "sha1"
            return _good(reply(known[0], environ, now)) if fits else _try_later()

    def _ask(self, environ: Environ, query: OCSPQuery, published: Sequence[Shelved]) -> bytes:
        if self._live is None or environ.get(BLOCKING) == "no":
            raise Unavailable("No signer is within reach.")
        if environ.get(BLOCKING) == "ask":
            raise MustBlock
        bodies = [one.publication.body for one in published]
        return self._live.answer(bodies, [one.algorithm for one in query.cert_ids], query.nonce)

    def _published(self, asked: CertID) -> Shelved | None:
        """The pre-signed answer about the same certificate."""
        if asked.algorithm == "sha1":
            return self.shelf.find(answer_path(asked))
        for issuer in self._published_issuers():
            if cert_id(issuer, asked.serial, asked.algorithm) == asked:
                return self.shelf.find(answer_path(cert_id(issuer, asked.serial, "sha1")))
        return None

    def _published_issuers(self) -> Iterator[x509.Certificate]:
        for name in self.shelf.names("ca"):
            shelved = self.shelf.find(name) if name.endswith(".cer") else None
            if shelved is None:
                continue
            known = self._issuers.get(name)
            if known is None or known[0] is not shelved:
                known = shelved, x509.load_der_x509_certificate(shelved.publication.body)
                self._issuers[name] = known
            yield known[1]

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
        for issuer in self._published_issuers():
            yield answer_path(cert_id(issuer, serial, "sha1"))

    def file(self, environ: Environ, path: str) -> Result:
        """A published file: CRLs (with ranges), certificates, chains, roots."""
        shelved = self.shelf.find(path)
        if shelved is None:
            return _missing()
        return _good(reply(shelved, environ, self.clock(), ranges=path.startswith("crl/")))

    def ready(self, _environ: Environ, _: str) -> Result:
        """200 when the roots are readable here, no CRL of an issuing CA in office has ended, and no feed is behind.

        The root's CRLs come from a ceremony: no other host could do better.
        """
        if self.shelf.find("roots.pem") is None or any(self._ended_crls()) or self.behind():
            return _unready()
        return "ok", _text("200 OK")

    def _ended_crls(self) -> Iterator[str]:
        now = self.clock()
        for name in (one for one in self.shelf.names("ca") if one.endswith(".cer")):
            issuer = self.shelf.find(name)
            if issuer is not None and _in_office(issuer.publication.body, now):
                folder = f"crl/{name[len('ca/') : -len('.cer')]}"
                paths = (path for path in self.shelf.names(folder) if path != f"{folder}/full.crl")  # may be turned off
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


class Asked(NamedTuple):
    """What a request asks, and the path of the answer that fits it as it is; empty where none can."""

    query: OCSPQuery
    path: str


class _Singular(Exception):
    """Carries what is asked once past the memory, which keeps what functions answer, and not what they raise."""

    def __init__(self, asked: Asked) -> None:
        super().__init__()
        self.asked = asked


def _read_der(der: bytes) -> Asked:
    """Raises what `parse_request` raises."""
    try:
        return _remember_der(der) if len(der) <= _SHORT else _ask(der)
    except _Singular as once:
        return once.asked


def _read_text(encoded: str) -> Asked:
    """Raises what `from_path` and `parse_request` raise."""
    try:
        return _remember_text(encoded) if len(encoded) <= _SHORT else _ask(_decode(encoded))
    except _Singular as once:
        return once.asked


def _decode(encoded: str) -> bytes:
    return from_path(encoded.translate(_REPAIR).lstrip("/").rstrip("="))


@lru_cache(_REMEMBERED)
def _remember_der(der: bytes) -> Asked:
    return _plain(_ask(der))


@lru_cache(_REMEMBERED)
def _remember_text(encoded: str) -> Asked:
    return _plain(_ask(_decode(encoded)))


def _plain(asked: Asked) -> Asked:
    if asked.query.nonce or not asked.path:
        raise _Singular(asked)
    return asked


def _ask(der: bytes) -> Asked:
    query = parse_request(der)
    return Asked(query, answer_path(query.cert_ids[0]) if len(query.cert_ids) == 1 else "")


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
    from web.live import Live

    live = Live(config.path(config.signer.socket), config.ocsp.live_per_second) if config.ocsp.live_per_second else None
    return StatusPlane(Folder(config.path(config.ca.publication_dir)), clock, StatusCounts(), live)


def make_gate(config: Config) -> Gate:
    """What a worker of the status process serves; where it has no database beside it, it follows another node."""
    plane = application(config)
    if config.status.feed_url:
        from web.follow import Follower

        follower = Follower(config, Folder(config.path(config.ca.publication_dir)))
        follower.start()
        plane.behind = lambda: follower.age() > config.status.feed_lag
    return Gate(plane, BOUNDS)


def run(config: Config) -> None:
    """The status process: serves `server.http_listen` until SIGTERM or SIGINT. Raises `Conflict` for a busy port."""
    metrics.prepare(config)
    close = metrics.listen(config)
    try:
        serve(Listener(Address.parse(config.server.http_listen), workers=1), make_gate, config)
    finally:
        close()
