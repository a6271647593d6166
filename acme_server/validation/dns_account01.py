"""dns-account-01 (draft-ietf-acme-dns-account-label): dns-01 at a name of the account's own.

So that several systems prove one domain without writing over each other's records.
"""

import hashlib
from base64 import b32encode

from acme_server.validation import dns01
from acme_server.validation.proof import Kind, Proof, is_dns
from acme_server.validation.wire import TextQuestion


def label(account: str) -> str:
    """The label of an account's URL in front of `_acme-challenge`."""
    return f"_{b32encode(hashlib.sha256(account.encode()).digest()[:10]).decode().lower()}"


def question(proof: Proof, seconds: float) -> TextQuestion:
    """The look at the account's own record of the name."""
    return TextQuestion(proof.host.value, f"{label(proof.account)}.{dns01.LABEL}", seconds)


KIND = Kind("dns-account-01", is_dns, question, dns01.weigh)
