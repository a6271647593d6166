"""`certwright key rotate`: how each kind of key gets its successor."""

import time
from collections.abc import Callable
from typing import Any

from ca.authority import Authority, journal_keys, responders, rotation
from ca.clock import rfc3339
from ca.errors import BadRequest, Conflict
from ca.records import Issuer, Key, KeyPurpose
from cli import signing
from cli.session import Session, operator

SEQUENCING = 1.0
"""Seconds that a run of the sequencer takes, which had chosen the old key."""

Way = Callable[[Session, Authority], dict[str, Any]]


def way(authority: Authority, key_id: str) -> Way:
    """What a rotation of that key is. Raises `NotFound`, and `BadRequest` for a key that has none here."""
    key = authority.store.key(key_id)
    if key.purpose is KeyPurpose.JOURNAL:
        return lambda session, desk: _journal(session, desk, key)
    if key.purpose is KeyPurpose.RESPONDER:
        issuer = _served(authority, key)
        return lambda session, desk: _responder(session, desk, issuer, key)
    if key.purpose is KeyPurpose.ISSUING:
        raise BadRequest(f"{key_id} is the key of a CA.", next_step="Run 'certwright ca rotate'.")
    raise BadRequest(f"{key_id} is the key of a root.", next_step="A new root is a new CA: see docs/hierarchy.md.")


def _journal(session: Session, authority: Authority, key: Key) -> dict[str, Any]:
    with signing.signer(session.config, session.config_path):
        if key.id in {one.id for one in rotation.unsettled(authority)}:
            return {"finished": ", ".join(rotation.settle(authority))}
        if key.state != "active":
            raise Conflict(f"{key.id} is {key.state}.", next_step="See 'certwright key list' for the present one.")
        made = journal_keys.rotate(authority, key.id, operator())
        time.sleep(SEQUENCING)
        rotation.settle(authority)
        authority.sequence_journal()
    return {"key": made.new, "follows": made.old, "spki_sha256": made.spki_sha256, "event": made.event}


def _served(authority: Authority, key: Key) -> Issuer:
    """The CA whose present responder has that key."""
    for issuer in authority.serving():
        if authority.store.responder(issuer.id).key_id == key.id:
            return issuer
    raise BadRequest(f"{key.id} has a successor already.", next_step="See 'certwright key list'.")


def _responder(session: Session, authority: Authority, issuer: Issuer, key: Key) -> dict[str, Any]:
    with signing.signer(session.config, session.config_path):
        made = responders.renew(authority, issuer)
    if made.key_id == key.id:
        raise Conflict(f"{key.id} is of today, and one a day is made.", next_step="Run it tomorrow.")
    return {"key": made.key_id, "follows": key.id, "until": rfc3339(made.not_after)}
