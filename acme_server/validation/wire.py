"""What a web worker asks the fetcher, what comes back, and how it travels: one question a connection.

A frame is four octets of length and as many of JSON, at most `MAX_FRAME`.
"""

import socket
import struct
from enum import StrEnum
from pathlib import Path

import msgspec

from ca.errors import CAError, Unavailable
from ca.records import NameKind

MAX_FRAME = 32 * 1024
MAX_BODY = 4 * 1024
_LENGTH = struct.Struct("!I")


class Outcome(StrEnum):
    """How a fetch ended. `fetched` says that an HTTP answer came, whatever it was."""

    FETCHED = "fetched"
    DNS = "dns"
    CONNECTION = "connection"
    TLS = "tls"
    REFUSED = "refused"
    BUSY = "busy"


class Question(msgspec.Struct, frozen=True):
    """One http-01 fetch: of which host, for which token, at most how many octets (`limit`) and `seconds`.

    The fetcher makes the URL itself, so that whoever can ask it gets challenge answers and nothing else.
    """

    kind: NameKind
    value: str
    token: str
    limit: int
    seconds: float


class Answer(msgspec.Struct, frozen=True):
    """What came of it. `trail` tells each step in words: addresses tried, redirects followed.

    `status` and `body` (at most `limit` octets and one more) are there when the outcome is `fetched`.
    """

    outcome: Outcome
    detail: str = ""
    status: int = 0
    body: bytes = b""
    trail: tuple[str, ...] = ()


class FetchFailed(CAError):
    """A fetch came to no HTTP answer; `outcome` says where it ended."""

    code = "acme-fetch-failed"

    def __init__(self, outcome: Outcome, detail: str, *, next_step: str = "") -> None:
        super().__init__(detail, next_step=next_step)
        self.outcome = outcome


class FetcherUnavailable(Unavailable):
    """The fetcher does not run, is busy, or went away: the challenge waits."""

    code = "acme-fetcher-unavailable"


def ask(path: Path, question: Question) -> Answer:
    """The fetcher's answer. Raises `FetcherUnavailable`; never waits much longer than the question's seconds."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(question.seconds + 5)
            channel.connect(str(path))
            send(channel, msgspec.json.encode(question))
            answer = msgspec.json.decode(receive(channel), type=Answer)
    except (OSError, EOFError, msgspec.MsgspecError) as error:
        raise FetcherUnavailable(
            f"The fetcher does not answer: {error}.", next_step="Start it: certwright serve --only fetcher."
        ) from None
    if answer.outcome is Outcome.BUSY:
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
