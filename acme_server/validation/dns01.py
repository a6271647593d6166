"""dns-01 (RFC 8555 §8.4): a TXT record holds the digest of the key authorization; the only way to a wildcard."""

import hashlib
from collections.abc import Sequence

from acme_server.strict import encode
from acme_server.validation.causes import Cause
from acme_server.validation.proof import Kind, Proof, Verdict, is_dns
from acme_server.validation.wire import Answer, TextQuestion

LABEL = "_acme-challenge"


def question(proof: Proof, seconds: float) -> TextQuestion:
    """The look at the name's challenge record; a wildcard's is that of its domain."""
    return TextQuestion(proof.host.value, LABEL, seconds)


def weigh(answer: Answer, proof: Proof) -> Verdict:
    """Whether one of the TXT records is exactly the digest; others beside it do no harm."""
    wanted, told = digest(proof), {"records": str(len(answer.texts))}
    if wanted.encode() in answer.texts:
        return Verdict.on(answer, Cause.MET, **told)
    if not answer.texts:
        return Verdict.on(answer, Cause.NO_TEXT, **told, wanted=wanted)
    return Verdict.on(answer, Cause.WRONG_TEXT, **told, wanted=wanted, found=_kind(answer.texts, proof))


def digest(proof: Proof) -> str:
    """What the record has to hold: SHA-256 of the key authorization in base64url."""
    return encode(hashlib.sha256(proof.key_authorization.encode()).digest())


def _kind(texts: Sequence[bytes], proof: Proof) -> str:
    """What the records look like. Their text is not shown: the DNS of an inner network is not for everybody."""
    if proof.key_authorization.encode() in texts:
        return "the key authorization itself instead of its SHA-256 in base64url"
    if any(text.strip(b" \t\r\n\"'=").decode("latin-1") == digest(proof) for text in texts):
        return "the digest with quotes, white space or padding around it"
    return f"{len(texts)} TXT records with something else"


KIND = Kind("dns-01", is_dns, question, weigh)
