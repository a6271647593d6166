"""dns-persist-01 (draft-ietf-acme-dns-persist): a record that stays names this CA and the account.

No token: whoever holds the account's key may have certificates for as long as the record stands. Hence off by default.
"""

from collections.abc import Iterator
from dataclasses import replace

from acme_server.validation import issue_value
from acme_server.validation.causes import Cause
from acme_server.validation.proof import Kind, Proof, Verdict, is_dns
from acme_server.validation.wire import Answer, TextQuestion
from ca.names import is_wildcard

LABEL = "_validation-persist"


def question(proof: Proof, seconds: float) -> TextQuestion:
    """The look at the name's standing record; a wildcard's is that of its domain."""
    return TextQuestion(proof.host.value, LABEL, seconds)


def weigh(answer: Answer, proof: Proof) -> Verdict:
    """Whether a record names this CA and the account, and is not over; the authorization lasts no longer than it."""
    wanted = f"{proof.issuers[0]}; accounturi={proof.account}" + (
        "; policy=wildcard" if is_wildcard(proof.name) else ""
    )
    ends = list(_ends(answer, proof))
    if ends:
        return replace(Verdict.on(answer, Cause.MET), until=0 if 0 in ends else max(ends))
    if not answer.texts:
        return Verdict.on(answer, Cause.NO_TEXT, wanted=wanted)
    return Verdict.on(
        answer, Cause.WRONG_TEXT, wanted=wanted, found=f"{len(answer.texts)} TXT records with something else"
    )


def _ends(answer: Answer, proof: Proof) -> Iterator[int]:
    """When each record ends that is good, 0 for never."""
    for text in answer.texts:
        try:
            found = issue_value.parse(text)
            account, policy, until = map(found.only, ("accounturi", "policy", "persistuntil"))
            end = _seconds(until)
        except ValueError:
            continue
        wide = (policy or "").lower() == "wildcard"
        lasts = not end or end > proof.now
        if (
            found.issuer in proof.issuers
            and account == proof.account
            and lasts
            and (wide or not is_wildcard(proof.name))
        ):
            yield end


def _seconds(until: str | None) -> int:
    """Epoch seconds, 0 for no end. Raises ValueError."""
    if until is None:
        return 0
    if not (until.isascii() and until.isdigit() and len(until) <= 12 and int(until)):
        raise ValueError("persistUntil is no time")
    return int(until)


KIND = Kind("dns-persist-01", is_dns, question, weigh, has_token=False)
