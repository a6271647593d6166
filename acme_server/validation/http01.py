"""http-01 (RFC 8555 §8.3): what to ask, and what to make of the answer. Pure: the fetcher does the asking."""

from dataclasses import dataclass

from acme_server.validation.wire import Answer, Outcome, Question
from ca.records import Name

TYPE = "http-01"
_SPARE = 128
"""Octets beyond the key authorization that are read: white space, and enough to see that it is something else."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a fetch proves. `error` is the ACME error type (`connection`, `dns`, …), empty when the challenge is met.

    `again` says that another try may end otherwise: it does not for an address that policy forbids.
    """

    error: str = ""
    detail: str = ""
    again: bool = False
    trail: tuple[str, ...] = ()


def key_authorization(token: str, thumbprint: str) -> str:
    """What the host must show (RFC 8555 §8.1)."""
    return f"{token}.{thumbprint}"


def question(name: Name, token: str, expected: str, seconds: float) -> Question:
    """The fetch that can prove control over this name."""
    return Question(name.kind, name.value, token, len(expected) + _SPARE, seconds)


def judge(answer: Answer, expected: str) -> Verdict:
    """Whether the answer is exactly the key authorization, trailing white space allowed."""
    match answer.outcome:
        case Outcome.FETCHED:
            return _judge_body(answer, expected)
        case Outcome.DNS | Outcome.CONNECTION | Outcome.TLS:
            return Verdict(answer.outcome.value, answer.detail, True, answer.trail)
        case _:
            return Verdict("unauthorized", answer.detail, False, answer.trail)


def _judge_body(answer: Answer, expected: str) -> Verdict:
    if answer.status != 200:
        detail = f"{answer.detail} answered {answer.status}, not 200: the challenge's file is not there."
    elif answer.body.rstrip() == expected.encode():
        return Verdict(trail=answer.trail)
    else:
        detail = f"{answer.detail} answered {_kind(answer.body, expected)} instead of the key authorization."
    return Verdict("incorrectResponse", detail, True, answer.trail)


def _kind(body: bytes, expected: str) -> str:
    """What the body looks like. Its text is not shown: validation reaches hosts that the asker may not read."""
    text = body.strip()
    if not text:
        return "nothing"
    if text.startswith(expected.partition(".")[0].encode() + b"."):
        return "the key authorization of another account"
    if text.startswith(b"<"):
        return "a page in HTML"
    return f"something else ({len(body)} octets or more)"
