"""CAA (RFC 8659, RFC 8657): whether a name's own DNS lets this CA, this account and this way of proof have it.

Looked at when a challenge is met, if `acme.caa` is on; what was authorized then lasts 8 hours at most.
"""

from collections.abc import Iterable

from acme_server.validation import issue_value
from acme_server.validation.causes import Cause
from acme_server.validation.proof import Proof, Verdict
from acme_server.validation.wire import Answer, AuthorityQuestion, Property
from ca.names import is_wildcard

LIFE = 8 * 3600
"""Seconds that an answer of the DNS is good for."""

_CRITICAL = 128
_KNOWN = frozenset((b"issue", b"issuewild", b"iodef", b"issuemail", b"issuevmc", b"contactemail", b"contactphone"))


def question(proof: Proof, seconds: float) -> AuthorityQuestion:
    """The look at the records of the name or of the nearest name above it; a wildcard's are those of its domain."""
    return AuthorityQuestion(proof.host.value, seconds)


def judge(answer: Answer, proof: Proof, method: str) -> Verdict:
    """Whether the records permit what was proved by this kind of challenge."""
    if answer.cause is not Cause.FETCHED:
        return Verdict.on(answer, Cause.CAA_UNREADABLE, why=answer.error or "busy", subject=proof.host.value)
    if any(one.flags & _CRITICAL and one.tag.lower() not in _KNOWN for one in answer.authorities):
        return Verdict.on(answer, Cause.CAA_FORBIDS, why="a critical property there is not known to this CA")
    relevant = _relevant(answer.authorities, is_wildcard(proof.name))
    if not relevant or any(_permits(one, proof, method) for one in relevant):
        return Verdict.on(answer, Cause.MET)
    return Verdict.on(
        answer, Cause.CAA_FORBIDS, why=f"none of them names {' or '.join(proof.issuers)} for this request"
    )


def _relevant(properties: Iterable[Property], wildcard: bool) -> list[bytes]:
    """The values that count: a wildcard's issuewild, if there is one, else issue (RFC 8659 §4.3)."""
    by_tag: dict[bytes, list[bytes]] = {}
    for one in properties:
        by_tag.setdefault(one.tag.lower(), []).append(one.value)
    return (wildcard and by_tag.get(b"issuewild")) or by_tag.get(b"issue", [])


def _permits(value: bytes, proof: Proof, method: str) -> bool:
    """One issue or issuewild property; one that cannot be read permits nobody (RFC 8659 §4.2, RFC 8657 §3, §4)."""
    try:
        found = issue_value.parse(value)
        account, methods = found.only("accounturi"), found.only("validationmethods")
    except ValueError:
        return False
    return (
        found.issuer in proof.issuers
        and account in (None, proof.account)
        and (methods is None or method in methods.split(","))
    )
