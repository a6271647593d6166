"""The order debugger: each try of a challenge, kept for a while, for whoever asks why.

Operators see everything. An unguessable URL, which lives a day and stands in the problem document, shows everybody else
what `causes` and the subjects of steps tell: no address, no resolver, no foreign text, nothing behind a redirect.
"""

import secrets
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from acme_server import payloads
from acme_server.desk import Answer, Asked, Desk
from acme_server.records import Authorization, Challenge, new_id
from acme_server.validation.causes import MEANINGS, tell
from acme_server.validation.proof import Verdict
from acme_server.validation.records import Attempt
from acme_server.validation.tables import Attempts
from acme_server.validation.wire import Step
from ca.clock import rfc3339
from ca.errors import NotFound

LINK_LIFE = 86400
"""Seconds in which everybody who has its URL may read of a try."""

Members = dict[str, Any]


def write(desk: Desk, challenge: Challenge, authorization: Authorization, verdict: Verdict) -> str:
    """Keeps a try inside the open transaction; answers the URL that shows it, empty for one that met."""
    now, secret = desk.now(), secrets.token_urlsafe(32)
    attempt = Attempt(
        id=new_id(),
        link=_link(secret) if verdict.error else "",
        authorization_id=authorization.id,
        type=challenge.type,
        name=authorization.value,
        number=challenge.failures + 1,
        ended_at=now,
        ms=verdict.ms,
        cause=verdict.cause,
        facts=dict(verdict.facts),
        inside=verdict.inside,
        trail=verdict.trail,
        expires=now + desk.config.acme.attempt_life,
    )
    Attempts(desk.store).add(attempt)
    return desk.urls.attempt(secret) if verdict.error else ""


def show(desk: Desk, asked: Asked, secret: str) -> Answer:
    """A try by its URL: text for who accepts text, as browsers do, else JSON. Raises `NotFound` after its day."""
    payloads.demand_empty(asked.payload)
    attempt = Attempts(desk.store).by_link(_link(secret))
    ends = attempt.ended_at + LINK_LIFE
    if desk.now() >= min(ends, attempt.expires):
        raise NotFound("There is no such try, or its time is over.", next_step="Ask the operators of this CA.")
    headers = {"Cache-Control": "no-store", "Vary": "Accept"}
    if "text/" in asked.accept:
        lines = [*lines_of(attempt), "", f"This page is here until {rfc3339(ends)}."]
        return Answer("\n".join(lines).encode() + b"\n", media_type="text/plain; charset=utf-8", headers=headers)
    return Answer({**public(attempt), "expires": rfc3339(ends)}, headers=headers)


def _link(secret: str) -> str:
    """How a secret is stored: whoever reads the database opens no page with it."""
    return sha256(secret.encode()).hexdigest()


# --- shapes -------------------------------------------------------------------------------------


def public(attempt: Attempt) -> Members:
    """What everybody may know who has the URL."""
    return {
        "challenge": attempt.type,
        "name": attempt.name,
        "try": attempt.number,
        "ended_at": rfc3339(attempt.ended_at),
        "ms": attempt.ms,
        "cause": attempt.cause.value,
        "error": MEANINGS[attempt.cause].error or None,
        "detail": tell(attempt.cause, attempt.facts),
        "facts": attempt.facts,
        "steps": [
            {"ms": s.ms, "deed": s.deed.value, "subject": s.subject, "outcome": s.outcome} for s in attempt.trail
        ],
    }


def whole(attempt: Attempt) -> Members:
    """What operators see."""
    steps = [{**one, "detail": step.detail} for one, step in zip(public(attempt)["steps"], attempt.trail, strict=True)]
    return {**public(attempt), "inside": attempt.inside, "steps": steps}


def lines_of(attempt: Attempt, inside: bool = False) -> Iterator[str]:
    """A try as a person reads it; `inside` only for operators."""
    yield f"{attempt.type} for {attempt.name}, try {attempt.number}: {MEANINGS[attempt.cause].error or 'met'}"
    yield f"{rfc3339(attempt.ended_at)}, after {attempt.ms} ms"
    yield ""
    yield tell(attempt.cause, attempt.facts)
    if inside and attempt.inside:
        yield f"Inside: {attempt.inside}"
    yield ""
    yield from (_line(step, inside) for step in attempt.trail)
    yield from (f"{words}: {attempt.facts[fact]}" for fact, words in _SHOWN.items() if fact in attempt.facts)


_SHOWN = {
    "status": "HTTP status",
    "octets": "octets of the body",
    "body": "the body, since it has the form of a key authorization",
    "equal": "it equals the key authorization",
    "records": "TXT records",
    "wanted": "wanted",
}


def _line(step: Step, inside: bool) -> str:
    told = f"{step.ms:6} ms  {step.deed.value:9}  {step.subject}: {step.outcome}"
    return f"{told} ({step.detail})" if inside and step.detail else told
