"""`Idempotency-Key`: a request that issues happens once, however often it is sent (CONTRACT.md).

The key is claimed in the transaction that writes the intent, and the outcome recorded in the one that stores
the certificate: a replay gets that outcome, byte for byte, and never a second certificate.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from flask import request

from ca.authority import Authority
from ca.errors import BadRequest, CAError
from ca.records import Actor, Certificate, Intent, IssueRequest
from ca.store import IdempotencyKey, Replay

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class _Replayed(CAError):
    """Breaks off transaction A: another request with this key was faster."""

    code = "replayed"

    def __init__(self, replay: Replay) -> None:
        super().__init__("The first outcome stands.")
        self.replay = replay


@dataclass(frozen=True, slots=True)
class Outcome:
    """The JSON of the answer, and whether it is the one of an earlier request."""

    body: bytes
    replayed: bool = False


def issue_once(
    authority: Authority, wish: IssueRequest, render: Callable[[Certificate], bytes], key: IdempotencyKey | None
) -> Outcome:
    """Issues, or answers what the first request with this key got.

    Raises what `Authority.issue` raises, and `IdempotencyMismatch`, `IdempotencyInFlight` or `Unavailable`
    (the first request broke off: a new key is needed).
    """
    if key is None:
        return Outcome(render(authority.issue(wish)))
    digest = body_digest()
    earlier = authority.store.replay(key, digest)
    if earlier is not None:
        return Outcome(earlier.response, replayed=True)
    try:
        return Outcome(_issue(authority, wish, render, key, digest))
    except _Replayed as first:
        return Outcome(first.replay.response, replayed=True)


def _issue(
    authority: Authority, wish: IssueRequest, render: Callable[[Certificate], bytes], key: IdempotencyKey, digest: str
) -> bytes:
    rendered: list[bytes] = []

    def claim(intent: Intent) -> None:
        earlier = authority.store.idempotency_begin(key, digest, authority.clock(), intent=intent.id)
        if earlier is not None:
            raise _Replayed(earlier)

    def record(certificate: Certificate) -> None:
        rendered.append(render(certificate))
        authority.store.idempotency_finish(key, 201, rendered[-1])

    authority.issue(wish, within=claim, after=record)
    return rendered[-1]


def key_of_request(actor: Actor) -> IdempotencyKey | None:
    """The key that this request came with, in the scope of its actor, method and path. Raises `BadRequest`."""
    given = request.headers.get("Idempotency-Key")
    if given is None:
        return None
    if not _KEY.fullmatch(given):
        raise BadRequest(
            "The Idempotency-Key is not 1 to 255 visible ASCII characters.", next_step="Send a UUID, for instance."
        )
    return IdempotencyKey(str(actor), request.method, str(request.url_rule), given)


def body_digest() -> str:
    """SHA-256 over everything of the request that decides what is issued: media type, query and body."""
    seen = hashlib.sha256()
    for part in (request.mimetype.encode(), request.query_string, request.get_data()):
        seen.update(len(part).to_bytes(8, "big") + part)
    return seen.hexdigest()
