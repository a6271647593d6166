"""http-01 (RFC 8555 §8.3): a page on the host's web server shows the key authorization."""

from acme_server.validation.proof import Kind, Proof, Verdict, failed, is_host
from acme_server.validation.wire import Answer, Outcome, PageQuestion

_SPARE = 128
"""Octets beyond the key authorization that are read: white space, and enough to see that it is something else."""


def question(proof: Proof, seconds: float) -> PageQuestion:
    """The fetch that can prove control over this name."""
    limit = len(proof.key_authorization) + _SPARE
    return PageQuestion(proof.name.kind, proof.name.value, proof.token, limit, seconds)


def judge(answer: Answer, proof: Proof) -> Verdict:
    """Whether the answer is exactly the key authorization, trailing white space allowed."""
    if answer.outcome is not Outcome.FETCHED:
        return failed(answer)
    if answer.status != 200:
        detail = f"{answer.detail} answered {answer.status}, not 200: the challenge's file is not there."
    elif answer.body.rstrip() == proof.key_authorization.encode():
        return Verdict(trail=answer.trail)
    else:
        detail = f"{answer.detail} answered {_kind(answer.body, proof)} instead of the key authorization."
    return Verdict("incorrectResponse", detail, True, answer.trail)


def _kind(body: bytes, proof: Proof) -> str:
    """What the body looks like. Its text is not shown: validation reaches hosts that the asker may not read."""
    text = body.strip()
    if not text:
        return "nothing"
    if text.startswith(proof.token.encode() + b"."):
        return "the key authorization of another account"
    if text.startswith(b"<"):
        return "a page in HTML"
    return f"something else ({len(body)} octets or more)"


KIND = Kind("http-01", is_host, question, judge)
