"""Compromised keys (STANDARDS B-01): a blocked key neither holds an account nor is certified again.

Who may say that a key is lost: whoever proves to hold it, by a revocation signed with it, and an operator. Nobody else,
or one subscriber could lock another one out.
"""

import hashlib

from ca.authority.desk import Desk
from ca.errors import BadPublicKey
from ca.records import Actor, BlockedKey, Event, Reason, Revocation, serial_hex


def demand_sound(desk: Desk, spki: bytes) -> None:
    """Raises `BadPublicKey` for a key (DER SPKI) that is known to be compromised."""
    if desk.store.is_blocked(hashlib.sha256(spki).hexdigest()):
        raise BadPublicKey("This key is known to be compromised.", next_step="Make a new key.")


def note_revocation(desk: Desk, fact: Revocation) -> None:
    """Blocks the key of a revoked certificate inside the open transaction, if the revocation says that the key is
    compromised, and comes from its holder or an operator.
    """
    vouched = fact.actor.method == "certificate-key" or fact.actor.kind in ("operator", "user")
    if fact.reason is Reason.KEY_COMPROMISE and vouched:
        digest = desk.store.key_of(fact.issuer, fact.serial)
        if digest:
            block(desk, digest, fact.actor, source=serial_hex(fact.serial), comment=fact.comment)


def block(desk: Desk, spki_sha256: str, actor: Actor, source: str = "", comment: str = "") -> bool:
    """Blocks a key; False when it was blocked already. What it certifies stays valid until it is revoked."""
    with desk.store.transaction():
        key = BlockedKey(spki_sha256, str(actor), desk.clock(), source, comment)
        if not desk.store.block(key):
            return False
        desk.journal.append(Event("key.blocked", actor, f"key:{spki_sha256}", detail={"source": source}))
    return True


def unblock(desk: Desk, spki_sha256: str, actor: Actor) -> None:
    """Takes a key off the list, for one that was blocked by mistake. Raises `NotFound`."""
    with desk.store.transaction():
        desk.store.unblock(spki_sha256)
        desk.journal.append(Event("key.unblocked", actor, f"key:{spki_sha256}"))
