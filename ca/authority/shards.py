"""The number of CRL shards: new ids are opened to issuance, the old ones are closed and signed to their end."""

from ca import crl
from ca.authority.crls import publish_list
from ca.authority.desk import Desk
from ca.errors import BadRequest, Unavailable
from ca.records import Actor, Event

MOST = 4096


def reshard(desk: Desk, issuer_id: str, count: int, actor: Actor) -> tuple[int, ...]:
    """Opens `count` new shards to issuance and closes the others; answers the new ids.

    The first CRL of each new shard is published before it is opened. A closed shard is signed again until its last
    certificate has expired, and once more. Raises the HSM family: then nothing was opened or closed.
    """
    issuer = desk.store.issuer(issuer_id)
    if issuer.kind != "issuing" or not 1 <= count <= MOST:
        raise BadRequest(f"An issuing CA has 1 to {MOST} open shards.", next_step="See 'certwright ca list'.")
    made = desk.store.add_shards(issuer_id, count)
    for shard in made:
        publish_list(desk, issuer_id, shard)
        if desk.publisher.folder.get(crl.list_path(issuer_id, shard)) is None:
            raise Unavailable(f"The CRL of shard {shard:04x} was not published.", next_step="Try again in a moment.")
    with desk.store.transaction():
        closed = desk.store.open_shards(issuer_id)
        desk.store.open_instead(issuer_id, made)
        detail = {"opened": list(made), "closed": list(closed)}
        desk.journal.append(Event("crl.resharded", actor, f"issuer:{issuer_id}", key=issuer_id, detail=detail))
    return made
