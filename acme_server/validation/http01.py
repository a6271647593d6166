"""http-01 (RFC 8555 §8.3): a page on the host's web server shows the key authorization."""

import re

from acme_server.validation.causes import Cause
from acme_server.validation.proof import Kind, Proof, Verdict, is_host
from acme_server.validation.wire import Answer, PageQuestion

_SHAPE = re.compile(r"[A-Za-z0-9_-]{16,128}\.[A-Za-z0-9_-]{43}")
_SPARE = 128
"""Octets beyond the key authorization that are read: white space, and enough to see that it is something else."""


def question(proof: Proof, seconds: float) -> PageQuestion:
    """The fetch that can prove control over this name."""
    return PageQuestion(proof.name.kind, proof.name.value, proof.token, _limit(proof), seconds)


def _limit(proof: Proof) -> int:
    return len(proof.key_authorization) + _SPARE


def weigh(answer: Answer, proof: Proof) -> Verdict:
    """Whether the page is exactly the key authorization, trailing white space allowed.

    Its text is told only where it has the shape of a key authorization: validation reaches hosts that the asker may
    not read.
    """
    text = answer.body.rstrip().decode("latin-1")
    told = {"status": str(answer.status), "octets": f"{len(answer.body)}{'+' * (len(answer.body) > _limit(proof))}"}
    told["equal"] = "yes" if text == proof.key_authorization else "no"
    if answer.status != 200:
        return Verdict.on(answer, Cause.STATUS, **told)
    if _SHAPE.fullmatch(text):
        told["body"] = text
    if text == proof.key_authorization:
        return Verdict.on(answer, Cause.MET, **told)
    return Verdict.on(answer, Cause.WRONG_BODY, **told, found=_kind(text, proof, told["octets"]))


def _kind(text: str, proof: Proof, octets: str) -> str:
    """What the body looks like."""
    if not text.strip():
        return "nothing"
    if text.lstrip().startswith(f"{proof.token}."):
        return "the key authorization of another account"
    if _SHAPE.fullmatch(text):
        return "the key authorization of another challenge"
    return "a page in HTML" if text.lstrip().startswith("<") else f"something else ({octets} octets)"


KIND = Kind("http-01", is_host, question, weigh)
