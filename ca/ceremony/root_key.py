"""The root's key, in a token that only a ceremony opens."""

import secrets
from dataclasses import dataclass

from ca.ceremony.certificates import certification_request, proven_key
from ca.ceremony.plans import RootPlan
from ca.ceremony.transcript import Scribe, sha256
from ca.clock import Clock
from ca.errors import KeyMismatch, NotFound
from ca.keys.algorithms import PrivateKey
from ca.keys.token import Token, TokenKey, token_private_key
from ca.records import Key, KeyPurpose


@dataclass(frozen=True, slots=True)
class RootKey:
    """The record of the root's key, and the key itself while its token is open."""

    record: Key
    private: PrivateKey
    token: str = ""


def open_root_key(token: Token, plan: RootPlan, clock: Clock) -> RootKey:
    """The key of that root: found in the token by its label, or generated in it.

    A ceremony that failed before it recorded anything finds its key again. Raises `KeyMismatch` when the token
    holds several of that label or one of another algorithm, and the HSM family.
    """
    try:
        return find_root_key(token, plan, clock)
    except NotFound:
        key = token.generate(plan.id, secrets.token_bytes(16), plan.algorithm)
        return _root_key(token, plan, key, clock)


def find_root_key(token: Token, plan: RootPlan, clock: Clock) -> RootKey:
    """The key of a root that exists. Raises `NotFound` when the token is another's, and what `open_root_key` raises."""
    found = token.find(plan.id)
    if len(found) > 1:
        raise KeyMismatch(f"The token holds {len(found)} keys with the label {plan.id}.")
    if not found:
        raise NotFound(f"The token holds no key {plan.id}.", next_step="Bring the token of the first ceremony.")
    return _root_key(token, plan, token.describe(found[0], plan.algorithm), clock)


def _root_key(token: Token, plan: RootPlan, key: TokenKey, clock: Clock) -> RootKey:
    record = Key(
        plan.id,
        KeyPurpose.ROOT,
        plan.algorithm,
        key.spki,
        software=token.info.software,
        attributes=key.attributes,
        created_at=clock(),
        owner=plan.owner,
    )
    return RootKey(record, token_private_key(token, key), str(token.info))


def confirm_root_key(key: RootKey, plan: RootPlan, scribe: Scribe) -> None:
    """Shows by a test signature that private and public part belong together (KC-08). Raises `KeyMismatch`."""
    proof = certification_request(plan, key.private)
    if proven_key(proof) != key.record.spki:
        raise KeyMismatch(f"The test signature of {key.record.id} is not by the key that was read back.")
    scribe.note("test signature by the root's key, verified with its public part", request_sha256=sha256(proof))
