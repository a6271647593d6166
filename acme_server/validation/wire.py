"""What a web worker asks the fetcher, what comes back, and how it travels: one question a connection.

A frame is four octets of length and as many of JSON, at most `MAX_FRAME`.
"""

import socket
import struct
from enum import StrEnum
from pathlib import Path

import msgspec

from acme_server.validation.causes import MEANINGS, Cause, tell
from ca.errors import CAError, Unavailable
from ca.records import NameKind
from ca.sockets import socket_address

MAX_FRAME = 256 * 1024
"""Room for all that one DNS answer can hold (64 KiB) and a full trail, in JSON."""

MAX_BODY = 4 * 1024
_LENGTH = struct.Struct("!I")


class PageQuestion(msgspec.Struct, frozen=True, tag="page"):
    """One http-01 fetch: of which host, for which token, at most how many octets (`limit`) and `seconds`.

    The fetcher makes every URL and name itself, so that whoever can ask it gets challenge answers and nothing else.
    """

    kind: NameKind
    value: str
    token: str
    limit: int
    seconds: float


class TextQuestion(msgspec.Struct, frozen=True, tag="text"):
    """The TXT records of a host's challenge name, which is `label` (of a known form) in front of the host."""

    value: str
    label: str
    seconds: float


class HandshakeQuestion(msgspec.Struct, frozen=True, tag="handshake"):
    """The certificate that a host shows to who says acme-tls/1 (RFC 8737)."""

    kind: NameKind
    value: str
    seconds: float


class AuthorityQuestion(msgspec.Struct, frozen=True, tag="authority"):
    """The CAA records of a host, or of the nearest name above it that has some (RFC 8659 §3)."""

    value: str
    seconds: float


class Property(msgspec.Struct, frozen=True):
    """One CAA record."""

    flags: int
    tag: bytes
    value: bytes


Question = PageQuestion | TextQuestion | HandshakeQuestion | AuthorityQuestion


class Deed(StrEnum):
    """What one step of a fetch does."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    HANDSHAKE = "handshake"
    REQUEST = "request"
    REDIRECT = "redirect"


class Step(msgspec.Struct, frozen=True):
    """One step of a fetch, `ms` after its start. `detail` (addresses, servers' own words) is for operators alone."""

    ms: int
    deed: Deed
    subject: str
    outcome: str
    detail: str = ""

    def __str__(self) -> str:
        told = f"{self.ms} ms: {self.deed} {self.subject}: {self.outcome}"
        return f"{told} ({self.detail})" if self.detail else told


class Answer(msgspec.Struct, frozen=True):
    """What came of it. `detail` is for operators; `facts` tell the cause to everybody (`causes.tell`).

    `trail` has each step: servers asked, addresses tried, redirects followed; all of it took `ms`. When the cause is
    `fetched`, a page has `status` and `body` (at most `limit` octets and one more), a challenge name has its `texts`,
    a handshake its `certificate` (DER), and CAA its
    `authorities`.
    """

    cause: Cause
    detail: str = ""
    facts: dict[str, str] = {}
    status: int = 0
    body: bytes = b""
    texts: tuple[bytes, ...] = ()
    certificate: bytes = b""
    authorities: tuple[Property, ...] = ()
    trail: tuple[Step, ...] = ()
    ms: int = 0

    @property
    def error(self) -> str:
        """The ACME error type, empty if an answer of the asked kind came."""
        return MEANINGS[self.cause].error


class FetchFailed(CAError):
    """A fetch came to no answer of the asked kind, for this cause; the detail is for operators."""

    code = "acme-fetch-failed"

    def __init__(self, cause: Cause, detail: str, facts: dict[str, str]) -> None:
        super().__init__(detail or tell(cause, facts))
        self.cause = cause
        self.facts = facts


class FetcherUnavailable(Unavailable):
    """The fetcher does not run, is busy, or went away: the challenge waits."""

    code = "acme-fetcher-unavailable"


def ask(path: Path, question: Question) -> Answer:
    """The fetcher's answer. Raises `FetcherUnavailable`; never waits much longer than the question's seconds."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(question.seconds + 5)
            with socket_address(path) as address:
                channel.connect(address)
            send(channel, msgspec.json.encode(question))
            answer = msgspec.json.decode(receive(channel), type=Answer)
    except (OSError, EOFError, msgspec.MsgspecError) as error:
        raise FetcherUnavailable(
            f"The fetcher does not answer: {error}.", next_step="Start it: certwright serve --only fetcher."
        ) from None
    if answer.cause is Cause.BUSY:
        raise FetcherUnavailable("The fetcher is busy.", next_step="Raise acme.validation.concurrency if this stays.")
    return answer


def send(channel: socket.socket, body: bytes) -> None:
    """Writes one frame."""
    channel.sendall(_LENGTH.pack(len(body)) + body)


def receive(channel: socket.socket) -> bytes:
    """Reads one frame. Raises EOFError when it is broken off or too large."""
    (length,) = _LENGTH.unpack(_exactly(channel, _LENGTH.size))
    if length > MAX_FRAME:
        raise EOFError("a frame is too large")
    return _exactly(channel, length)


def _exactly(channel: socket.socket, count: int) -> bytes:
    found = bytearray()
    while len(found) < count:
        part = channel.recv(count - len(found))
        if not part:
            raise EOFError("the connection was closed")
        found += part
    return bytes(found)
