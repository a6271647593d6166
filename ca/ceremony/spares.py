"""The root's spare CRLs: signed at the ceremony, published one after the other without the root's key (B-03)."""

from dataclasses import replace

from ca import crl
from ca.ceremony.records import crl_published, spare_path
from ca.clock import Clock
from ca.crl import Window
from ca.errors import NotFound
from ca.journal import Journal
from ca.publish import Publisher
from ca.records import SYSTEM, Issuer
from ca.store import Store


def publish_due_spares(store: Store, journal: Journal, publisher: Publisher, clock: Clock) -> int:
    """Publishes each root's next CRL whose time has come; answers how many. Twice is no error.

    Raises what the gate refuses (`StalePublication`, `LintFailed`) and `StoreUnavailable`.
    """
    done = 0
    for root in store.issuers():
        if root.kind == "root" and root.state == "active":
            done += _publish_due(store, journal, publisher, root, clock())
    return done


def _publish_due(store: Store, journal: Journal, publisher: Publisher, root: Issuer, now: int) -> int:
    current = publisher.get(crl.shard_path(root.id, 0))
    try:
        spare = publisher.get(spare_path(root.id, current.version + 1))
    except NotFound:
        return 0  # the last one: `doctor` has warned since 60 days before its end
    if spare.this_update > now:
        return 0
    crl.gate(current.body, spare.body, lambda serial, before: False)
    with store.transaction():
        publisher.put(replace(spare, path=current.path, seq=0))
        window = Window(spare.version, spare.this_update, spare.fresh_until)
        journal.append(crl_published(root, window, spare.body, SYSTEM))
    return 1
