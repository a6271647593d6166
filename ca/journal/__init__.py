"""The audit journal: written with each deed, chained and signed within a second, verifiable from its bytes alone.

with store.transaction():
    store.revoke(fact)
    journal.append(Event("certificate.revoked", actor, target))     # no event, no change

sequence(store, sign, clock, fence, key_id)      # the one sequencer, under its lease
verify(store, {key_id: public_key})              # a Report, or JournalBroken with the place
proof.prove(store, event, {key_id: spki})        # one entry, for whoever has no access to the rest
"""

from ca.journal.journal import Journal
from ca.journal.reading import export, history, shown, tail
from ca.journal.sequencer import leap, sequence
from ca.journal.verify import Report, verify

__all__ = ["Journal", "Report", "export", "history", "leap", "sequence", "shown", "tail", "verify"]
