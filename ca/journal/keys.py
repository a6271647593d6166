"""The two events of a key's life, as each room tells them: made, and moved to its next state (SP 800-57 part 1, §7).

journal.append(key_generated(key, actor))
journal.append(key_moved(key.id, "pre-active", "active", actor))
"""

import hashlib

from ca.records import Actor, Event, Key


def key_generated(key: Key, actor: Actor) -> Event:
    """A key was made, with what was read back about it."""
    detail = {
        "algorithm": key.algorithm,
        "purpose": key.purpose.value,
        "software": key.software,
        "spki_sha256": hashlib.sha256(key.spki).hexdigest(),
        "attributes": dict(key.attributes),
    }
    return Event("key.generated", actor, f"key:{key.id}", key=key.id, detail=detail)


def key_moved(key_id: str, before: str, after: str, actor: Actor) -> Event:
    """A key went from one state of its life cycle to another."""
    return Event("key.state-changed", actor, f"key:{key_id}", key=key_id, detail={"from": before, "to": after})
