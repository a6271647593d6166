"""What client and signer say to each other: length-prefixed msgpack frames on a Unix socket.

A frame is four octets of length, big-endian, and one message. A message is at most 1 MiB, a CRL's at
most 64 MiB. Each request carries an id that its answer repeats.
"""

import select
import socket
import struct
import time
from dataclasses import dataclass, field

import msgspec

from ca.errors import BadRequest, CAError
from ca.keys.ledger import Page, Place
from ca.records import Key, KeyPurpose, Responder, SignKind

SMALL_FRAME = 1 << 20
LARGE_FRAME = 64 << 20
FRAME_SECONDS = 10.0
_HEADER = struct.Struct(">I")


# --- requests -----------------------------------------------------------------------------------


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="op"):
    """`id` is repeated in the answer; `seconds` is how long the asker will wait."""

    id: int
    seconds: float


class Sign(Request, frozen=True, tag="sign"):
    """Sign a whole TBS, as its kind."""

    key: str
    kind: SignKind
    tbs: bytes


class Generate(Request, frozen=True, tag="generate"):
    """Make a key in the token (ceremony)."""

    key: str
    purpose: KeyPurpose
    algorithm: str


class Certify(Request, frozen=True, tag="certify"):
    """Hand over the certificate of an issuing key (ceremony)."""

    key: str
    certificate: bytes


class Deactivate(Request, frozen=True, tag="deactivate"):
    """Take a key out of use whose successor took over (operator)."""

    key: str


class RenewResponder(Request, frozen=True, tag="renew-responder"):
    """Make the next delegated OCSP responder of an issuing key."""

    issuer: str


class Keys(Request, frozen=True, tag="keys"):
    """List the pinned keys."""


class Freshen(Request, frozen=True, tag="freshen"):
    """Say published OCSP answers again: with a nonce, each under the hash that its asker named the issuer by."""

    published: tuple[bytes, ...]
    algorithms: tuple[str, ...]
    nonce: bytes = b""


class LastCrl(Request, frozen=True, tag="last-crl"):
    """Say which CRL of a scope was signed last, by the ledger."""

    key: str
    scope: str


class ReadLedger(Request, frozen=True, tag="ledger"):
    """Show a page of the ledger: what comes after a place that an earlier page ended at, or from the beginning."""

    after: Place | None


class Health(Request, frozen=True, tag="health"):
    """Say how the signer is."""


class Unlock(Request, frozen=True, tag="unlock"):
    """Forget that the PIN was refused and open the token again (operator)."""


class AcceptClock(Request, frozen=True, tag="accept-clock"):
    """Believe the wall clock as it is now (operator)."""


Requests = (
    Sign
    | Generate
    | Certify
    | Deactivate
    | RenewResponder
    | Keys
    | LastCrl
    | Freshen
    | ReadLedger
    | Health
    | Unlock
    | AcceptClock
)


# --- answers ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Times:
    """Median and 95th percentile of the newest few hundred calls, in seconds."""

    median: float
    p95: float


@dataclass(frozen=True, slots=True)
class SignerHealth:
    """How the signer is. `ok`: it can sign. `detail` says what is missing and what to do, for people.

    `token` describes the token and says when it is software. `faults` are keys that cannot be used, with
    the reason. `waiting` counts requests by lane, `signed` signatures by kind since the start. `longest` is for how
    many seconds the oldest call into the token has been running. `waits` are the times until a request had its turn,
    by lane, `calls` those of signatures in the token, by kind. `clock` says why the wall clock is not believed.
    `journal` is the size of the longest one that was signed.
    """

    ok: bool
    detail: str
    token: str = ""
    software: bool = False
    pin_refused: bool = False
    keys: int = 0
    faults: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    signed: dict[str, int] = field(default_factory=dict)
    longest: float = 0.0
    waits: dict[str, Times] = field(default_factory=dict)
    calls: dict[str, Times] = field(default_factory=dict)
    clock: str = ""
    journal: int = 0


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="is"):
    """`id` is the request's; 0 when the request could not be read."""

    id: int


class Done(Answer, frozen=True, tag="done"):
    """It is done, and there is nothing to tell."""


class Signature(Answer, frozen=True, tag="signature"):
    """A verified signature."""

    signature: bytes


class OneKey(Answer, frozen=True, tag="key"):
    """A key."""

    key: Key


class AllKeys(Answer, frozen=True, tag="keys"):
    """The pinned keys, without those that were destroyed."""

    keys: tuple[Key, ...]


class NewResponder(Answer, frozen=True, tag="responder"):
    """A responder: its certificate and key id."""

    responder: Responder


class Said(Answer, frozen=True, tag="said"):
    """An OCSP response, whole."""

    response: bytes


class CrlSigned(Answer, frozen=True, tag="crl"):
    """Number and thisUpdate of the newest CRL of a scope, 0 before the first."""

    number: int
    this_update: int


class LedgerPage(Answer, frozen=True, tag="ledger"):
    """A page of the ledger."""

    page: Page


class HealthReport(Answer, frozen=True, tag="health"):
    """How the signer is."""

    health: SignerHealth


class Failure(Answer, frozen=True, tag="failure"):
    """A `CAError`, taken apart to travel."""

    code: str
    detail: str
    next_step: str = ""
    retry_after: int = 0


Answers = Done | Signature | OneKey | AllKeys | NewResponder | CrlSigned | Said | LedgerPage | HealthReport | Failure

_encoder = msgspec.msgpack.Encoder()
_requests: msgspec.msgpack.Decoder[Requests] = msgspec.msgpack.Decoder(Requests)
_answers: msgspec.msgpack.Decoder[Answers] = msgspec.msgpack.Decoder(Answers)


def encode(message: Requests | Answers) -> bytes:
    """The octets of a message."""
    return _encoder.encode(message)


def decode_request(frame: bytes | bytearray) -> Requests:
    """The request in a frame. Raises `BadRequest`; only a CRL to sign may be larger than a small frame."""
    try:
        request = _requests.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"The request cannot be read: {error}.") from None
    if len(frame) > SMALL_FRAME and not (isinstance(request, Sign) and request.kind is SignKind.CRL):
        raise BadRequest(f"The request has {len(frame)} octets, and only a CRL may have more than {SMALL_FRAME}.")
    return request


def decode_answer(frame: bytes | bytearray) -> Answers:
    """The answer in a frame. Raises `BadRequest`."""
    try:
        return _answers.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"The signer's answer cannot be read: {error}.") from None


def failure(request_id: int, error: CAError) -> Failure:
    """An error as an answer."""
    return Failure(request_id, error.code, error.detail, error.next_step, getattr(error, "retry_after", 0))


# --- frames -------------------------------------------------------------------------------------


def send(connection: socket.socket, message: bytes) -> None:
    """Writes one frame within `FRAME_SECONDS`. Raises `OSError`: the peer has no whole frame then."""
    connection.settimeout(FRAME_SECONDS)
    connection.sendall(_HEADER.pack(len(message)) + message)


def receive_size(connection: socket.socket, wait: float) -> int:
    """The length of the next frame, waiting at most `wait` seconds for it to begin.

    Raises `EOFError` when the peer closed, `TimeoutError`, `OSError`, `BadRequest` for an impossible length.
    """
    connection.settimeout(wait)
    first = connection.recv(_HEADER.size)
    if not first:
        raise EOFError("The peer closed the connection.")
    header = first + bytes(_read(connection, _HEADER.size - len(first)))
    (size,) = _HEADER.unpack(header)
    if not 0 < size <= LARGE_FRAME:
        raise BadRequest(f"A frame of {size} octets was announced, and {LARGE_FRAME} is the most.")
    return int(size)


def receive_body(connection: socket.socket, size: int) -> bytearray:
    """The frame whose length was read. A peer that is slower than `FRAME_SECONDS` is given up (`TimeoutError`)."""
    return _read(connection, size)


def _read(connection: socket.socket, size: int) -> bytearray:
    """Exactly `size` octets, with one deadline for all of them: a peer that drips octets gains nothing."""
    deadline = time.monotonic() + FRAME_SECONDS
    # Grown as it arrives: an announced length alone costs no memory.
    data = bytearray()
    while len(data) < size:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        part = connection.recv(min(size - len(data), SMALL_FRAME))
        if not part:
            raise EOFError("The peer closed the connection within a frame.")
        data += part
    return data


def has_hung_up(connection: socket.socket) -> bool:
    """Whether the peer has closed its end for good; what it sent before may still be read."""
    poll = select.poll()
    poll.register(connection, 0)
    return bool(poll.poll(0))
