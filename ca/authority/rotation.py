"""Rotation of an issuing CA: its next generation waits, takes over in one transaction, and the one before it retires.

    take_over(desk, "issuing-g2", actor)     # of one that a ceremony made to wait (`ca.ceremony`)
    settle(desk)                             # the signer follows what the records say of keys; safe at any time

A retired CA issues no more. Its CRLs and OCSP answers go on until its last certificate has ended, and its key signs
those CRLs alone. Which steps are done stands in the records, so that a crash anywhere is ended by doing it again.
"""

from ca import crl
from ca.authority import standing
from ca.authority.crls import publish_list
from ca.authority.desk import Desk
from ca.errors import Conflict, NotFound, Unavailable
from ca.journal.keys import key_moved
from ca.records import Actor, Event, Issuer, Key, KeyPurpose

WAITING = "pre-active"


def waiting(desk: Desk, name: str) -> Issuer:
    """The generation of that name that was made and does not issue yet. Raises `NotFound`."""
    found = [one for one in desk.store.issuers() if (one.name, one.state) == (name, WAITING)]
    if not found:
        raise NotFound(f"No generation of {name} waits to take over.", next_step="See 'certwright ca list'.")
    return found[-1]


def take_over(desk: Desk, issuer_id: str, actor: Actor) -> tuple[Issuer, ...]:
    """Opens a waiting generation to issuance, and retires those of its name; answers these.

    Its CRLs are published before, so that no certificate names a list that is not there. Who asked the old generation
    and has no intent yet is told to ask again. The signer follows by `settle`. Raises `Conflict` for one that does
    not wait, `RevokeOnly` and the HSM family: then nothing has changed.
    """
    standing.demand_abreast(desk)
    standing.demand_confirmed(desk)
    new = desk.store.issuer(issuer_id)
    for shard in desk.store.open_shards(new.id):
        _publish(desk, new, shard)
    with desk.store.transaction():
        if desk.store.issuer(new.id).state != WAITING:
            raise Conflict(f"{new.id} does not wait to take over.", next_step="See 'certwright ca list'.")
        old = tuple(one for one in desk.store.issuers() if (one.name, one.state) == (new.name, "active"))
        desk.store.set_issuer_state(new.id, "active")
        for one in old:
            _retire(desk, one, new, actor)
    return old


def _publish(desk: Desk, issuer: Issuer, shard: int) -> None:
    path = crl.list_path(issuer.id, shard)
    if desk.publisher.folder.get(path) is None:
        publish_list(desk, issuer.id, shard)
    if desk.publisher.folder.get(path) is None:
        raise Unavailable(f"The CRL of shard {shard:04x} was not published.", next_step="Try again in a moment.")


def _retire(desk: Desk, old: Issuer, new: Issuer, actor: Actor) -> None:
    desk.store.set_issuer_state(old.id, "retired")
    desk.store.open_instead(old.id, ())
    desk.store.set_key_state(old.key_id, "deactivated")
    target = f"key:{old.key_id}"
    desk.journal.append(key_moved(old.key_id, "active", "deactivated", actor))
    detail = {"successor": new.key_id, "issuer": old.id, "taken_over_by": new.id}
    desk.journal.append(Event("key.rotated", actor, target, key=new.key_id, detail=detail))


def under_way(desk: Desk) -> int:
    """Certificates that retired generations are still signing: what began before they retired."""
    retired = {one.id for one in desk.store.issuers() if one.state == "retired"}
    return sum(one.issuer in retired for one in desk.store.open_intents(desk.clock() + 1))


def unsettled(desk: Desk) -> tuple[Key, ...]:
    """Keys that the records say are out of use and that the signer would still use. Raises the HSM family."""
    held = {key.id: key.state for key in iter(desk.signer.keys())}
    ours = (KeyPurpose.ISSUING, KeyPurpose.JOURNAL)
    known = (key for key in iter(desk.store.keys()) if key.purpose in ours and key.state == "deactivated")
    return tuple(key for key in known if held.get(key.id) == "active")


def settle(desk: Desk) -> tuple[str, ...]:
    """Has the signer take those keys out of use, for good; answers their ids. Raises the HSM family."""
    keys = unsettled(desk)
    for key in keys:
        desk.signer.deactivate(key.id)
    return tuple(key.id for key in keys)
