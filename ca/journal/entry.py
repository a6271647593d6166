"""The bytes of a journal entry: one canonical JSON object, stored and hashed as written (JOURNAL.md §2).

Personal data stands there only as a commitment, SHA-256(salt || text); text and salt lie in an erasable side
table. Sixteen random octets in each entry keep a published leaf hash from being guessed.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ca.errors import CAError
from ca.journal.events import EVENTS
from ca.records import Event
from ca.store import EventRow, Personal

VERSION = 1
LARGEST = 65_535
"""Octets of an entry at most."""

NONCE = 16
"""Random octets in each entry, and in the salt of each piece of personal data."""

Entropy = Callable[[int], bytes]


def write(event: Event, time: int, entropy: Entropy) -> tuple[EventRow, tuple[Personal, ...]]:
    """The row of an event and its personal data. Raises `CAError` for an unknown action and for one too large."""
    if event.action not in EVENTS:
        raise CAError(f"{event.action!r} is no event of the journal.", next_step="Add it to ca/journal/events.py.")
    personal = tuple(Personal(0, name, clear, entropy(NONCE)) for name, clear in sorted(event.personal.items()))
    body = msgspec.json.encode(_entry(event, time, entropy(NONCE), personal), order="sorted")
    if len(body) > LARGEST:
        raise CAError(f"The journal entry {event.action} has {len(body)} octets; {LARGEST} is the most.")
    return EventRow(0, time, event.action, str(event.actor), event.target, body), personal


def _entry(event: Event, time: int, nonce: bytes, personal: Sequence[Personal]) -> dict[str, Any]:
    return {
        "v": VERSION,
        "nonce": nonce.hex(),
        "time": time,
        "actor": {"kind": event.actor.kind, "id": event.actor.id},
        "method": event.actor.method,
        "action": event.action,
        "object": event.target,
        "key": event.key,
        "result": event.result,
        "reason": event.reason,
        "request_id": event.request_id,
        "detail": dict(event.detail),
        "personal": {one.name: commitment(one) for one in personal},
    }


def read(body: bytes) -> dict[str, Any]:
    """The fields of an entry. Raises `ValueError` for what is no entry."""
    return msgspec.json.decode(body, type=dict[str, Any])


def commitment(personal: Personal) -> str:
    """What an entry says of a piece of personal data: SHA-256(salt || text) in hex."""
    return hashlib.sha256(personal.salt + personal.clear.encode()).hexdigest()


def keeps(entry: Mapping[str, Any], personal: Personal) -> bool:
    """Whether this text is what the entry is committed to."""
    committed = entry.get("personal", {}).get(personal.name, "")
    return hmac.compare_digest(str(committed), commitment(personal))


def describes(row: EventRow, entry: Mapping[str, Any]) -> bool:
    """Whether the columns by which an entry is found say what the entry says."""
    actor = entry.get("actor", {})
    said = (entry.get("time"), entry.get("action"), f"{actor.get('kind')}:{actor.get('id')}", entry.get("object"))
    return said == (row.time, row.action, row.actor, row.target)
