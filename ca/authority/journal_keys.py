"""The succession of journal keys: the old key signs the head over the entry that names its successor, then ends.

    rotate(desk, old, actor)  # may be done again after an error: it goes on where it stopped
    settle(desk)              # of `ca.authority.rotation`: the signer uses the old key no more

So whoever trusts the first key finds each later one by a proof (`ca.journal.proof`) that the key before it has signed.
"""

import re
from dataclasses import dataclass, replace

from ca.authority import standing, trail
from ca.authority.desk import Desk
from ca.errors import Conflict, Unavailable
from ca.journal.keys import key_generated, key_moved
from ca.journal.proof import fingerprint
from ca.records import Actor, Event, Key, KeyPurpose

_GENERATION = re.compile(r"(.*-g)([1-9][0-9]{0,5})")


@dataclass(frozen=True, slots=True)
class Succession:
    """Which key follows which, and the id of the event that says so, of which there is a proof by the old key."""

    old: str
    new: str
    spki_sha256: str
    event: int


def rotate(desk: Desk, old_id: str, actor: Actor) -> Succession:
    """Gives that key of the journal its successor, once. The signer has to `settle` afterwards.

    Raises `Conflict` when it is not the journal's present key, or no more: whoever waited while another rotated it
    must not rotate the successor too. Raises `RevokeOnly`, `Unavailable` when the old key has not signed for the new
    one yet, and the HSM family; done again, it goes on with the key that was made.
    """
    standing.demand_abreast(desk)
    standing.demand_confirmed(desk)
    old = _present(desk, old_id)
    new = _made(desk, old)
    event = _announce(desk, old, new, actor)
    trail.sequence_journal(desk)
    signed = trail.prove_event(desk, event)
    if fingerprint(signed.key) != fingerprint(old.spki):
        raise Unavailable(f"{old.id} has not signed for {new.id}.", next_step="Run the same command again.")
    _succeed(desk, old, new, actor)
    return Succession(old.id, new.id, fingerprint(new.spki).hex(), event)


def _present(desk: Desk, key_id: str) -> Key:
    present = trail.journal_key(desk)
    if present.id != key_id:
        raise Conflict(f"{key_id} has a successor already: {present.id}.", next_step="See 'certwright key list'.")
    return present


def _made(desk: Desk, old: Key) -> Key:
    """The next generation in the signer; one that an interrupted rotation has made is taken."""
    key_id = _next_id(old.id)
    try:
        return desk.signer.generate(key_id, KeyPurpose.JOURNAL, old.algorithm)
    except Conflict:
        return desk.signer.key(key_id)


def _next_id(key_id: str) -> str:
    found = _GENERATION.fullmatch(key_id)
    return f"{found[1]}{int(found[2]) + 1}" if found else f"{key_id}-g2"


def _announce(desk: Desk, old: Key, new: Key, actor: Actor) -> int:
    """Records the new key, which waits, and answers the event that names it; once, also when done again."""
    target = f"key:{old.id}"
    with desk.store.transaction():
        told = [row for row in desk.store.history(target) if row.action == "key.rotated"]
        if told:
            return told[-1].id
        desk.store.add_key(replace(new, state="pre-active", owner=old.owner))
        desk.journal.append(key_generated(new, actor))
        detail = {"successor": new.id, "spki_sha256": fingerprint(new.spki).hex()}
        return desk.journal.append(Event("key.rotated", actor, target, key=new.id, detail=detail)).id


def _succeed(desk: Desk, old: Key, new: Key, actor: Actor) -> None:
    with desk.store.transaction():
        _present(desk, old.id)
        for key, before, after in ((new, "pre-active", "active"), (old, "active", "deactivated")):
            desk.store.set_key_state(key.id, after)
            desk.journal.append(key_moved(key.id, before, after, actor))
