"""CRLs: each list that is dirty, ageing or due by schedule is signed again and published (RFC 5280 §5).

The number is taken in the same write transaction that reads the entries, so a higher number always means newer
facts; the publication gate then compares with what is published (INC-01, INC-02). An entry's DER is written once and
kept beside its fact: what one more revocation costs follows its shard, not the estate.
"""

import hashlib
from contextlib import suppress
from dataclasses import dataclass

from ca import crl, journal
from ca.authority.desk import Desk
from ca.authority.report import Report
from ca.errors import CAError, HSMError, KeyMismatch, NotFound, SigningRefused, StalePublication, StoreUnavailable
from ca.records import SYSTEM, Event, Issuer, Publication, SignKind, serial_hex
from ca.store import ShardState

BACKDATE = 60
"""Seconds that thisUpdate lies before the clock (X-16: at most 300), but never before a revocation that it tells."""


def due_lists(desk: Desk) -> tuple[ShardState, ...]:
    """The lists that want to be signed: dirty shards first, then those past half of their life or their delta's, and
    the list over all shards when its time has come."""
    now, ca = desk.clock(), desk.config.ca
    full_made = now - ca.full_crl_every if ca.full_crl_every else -1
    delta_made = now - ca.delta_crl_life // 2 if ca.delta_crl_life else -1
    stale = desk.store.stale_shards(now, full_made=full_made, delta_made=delta_made)
    return tuple(state for state in stale if not desk.has_ended(state.issuer))


def publish_crls(desk: Desk, fence: int = 0) -> Report:
    """Publishes each list that is due. One refused list does not hold the others."""
    outcomes = [try_list(desk, state.issuer, state.shard, fence) for state in due_lists(desk)]
    return Report("publish_crls", sum(outcomes), len(outcomes) - sum(outcomes))


def try_list(desk: Desk, issuer_id: str, shard: int, fence: int = 0) -> bool:
    """Publishes one list and answers whether that was possible; a refusal is journalled, which is the alarm.

    A refusal of the gate, or of the signer for this one key. Raises the rest of the HSM family and
    `StoreUnavailable`: then the marks stay and a later run finishes.
    """
    try:
        publish_list(desk, issuer_id, shard, fence)
        return True
    except (KeyMismatch, SigningRefused) as error:
        _journal_refusal(desk, issuer_id, shard, error)
        return False
    except (HSMError, StoreUnavailable):
        raise
    except CAError as error:
        _journal_refusal(desk, issuer_id, shard, error)
        return False


def publish_list(desk: Desk, issuer_id: str, shard: int, fence: int = 0) -> None:
    """Signs and publishes one list now. Raises the HSM family (marks stay) or what the gate refuses.

    Those who want the same shard at the same time share one signature. What cannot follow the published or the signed
    one is numbered anew above it, if the records were set back; otherwise a newer one is on its way, and stands.
    """
    issuer = desk.store.issuer(issuer_id)
    before = desk.store.shard(issuer_id, shard)
    with desk.alone(f"crl:{issuer_id}:{shard}"):
        if _was_published_since(before, desk.store.shard(issuer_id, shard)):
            return
        try:
            _publish(desk, issuer, shard, fence)
        except StalePublication:
            newest = _newest_out(desk, issuer, shard)
            if not newest.is_above(desk.store.shard(issuer_id, shard)):
                return  # another process was faster; the mark stays until its list is published
            _publish(desk, issuer, shard, fence, newest)


def _was_published_since(before: ShardState, now: ShardState) -> bool:
    """Whether what was wanted is out: a list was published that tells all that was to be told."""
    return now.number > before.number and now.published_generation >= before.generation


# --- one list -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Out:
    """Number and thisUpdate of a CRL that is out already, by the signer's ledger or in the folder."""

    number: int = 0
    this_update: int = 0

    def is_above(self, state: ShardState) -> bool:
        """Whether the records know less: then they were set back."""
        return self.number > state.number or self.this_update > state.this_update


@dataclass(frozen=True, slots=True)
class _Draft:
    """What a list will say. `changes` are a delta's entries, None without one; `last` is the shard's final list."""

    state: ShardState
    this_update: int
    entries: list[bytes]
    changes: list[bytes] | None
    last: bool


def _publish(desk: Desk, issuer: Issuer, shard: int, fence: int, above: _Out = _Out()) -> None:
    draft = _read(desk, issuer, shard, above)
    complete = _complete(desk, issuer, draft, fence)
    _gate(desk, issuer.id, complete)
    delta = [] if draft.changes is None else [_delta(desk, issuer, draft, draft.changes, fence)]
    for one in delta:
        _must_rise(desk, one)
    _put(desk, draft, complete, delta)


def _read(desk: Desk, issuer: Issuer, shard: int, above: _Out) -> _Draft:
    """Takes the number and reads what belongs to it. The list over all shards would hold up every writer: it reads
    after its number, in one statement, and the gate stops the one of two at a time that knows less."""
    store = desk.store
    with store.reading() if shard == crl.FULL else store.transaction():
        now = desk.clock()  # behind the lock: with the number, the time rises too
        state = store.number_crl(issuer.id, shard, now, above.number)
        store.write_entries((fact, crl.entry(fact)) for fact in store.unwritten(issuer.id, shard))
        # After an accepted step back the last thisUpdate lies ahead: what has not ended by the clock stays, too.
        entries, newest = store.entries(issuer.id, shard, not_after_from=min(state.this_update, now))
        changes = _changes(desk, state)
        # A shard that is about to be opened has its first list already.
        closed = shard != crl.FULL and not state.open and state.this_update > 0
        end = store.last_not_after(issuer.id, shard) if closed else 0
    this_update = max(now - BACKDATE, state.this_update, above.this_update, newest)
    return _Draft(state, this_update, entries, changes, closed and end < this_update)


def _changes(desk: Desk, state: ShardState) -> list[bytes] | None:
    """What a delta tells: everything since its base, and who was released from a hold."""
    if not desk.config.ca.delta_crl_life or not state.base_number:
        return None
    since = (state.issuer, state.shard, state.base_generation, state.this_update)
    released = [crl.removal(serial, at) for serial, at in desk.store.released_since(*since)]
    return desk.store.entries_since(*since) + released


def _complete(desk: Desk, issuer: Issuer, draft: _Draft, fence: int) -> Publication:
    state, url = draft.state, desk.config.server.status_url
    next_update = min(draft.this_update + desk.config.ca.crl_life, crl.not_after(issuer))
    with_delta = desk.config.ca.delta_crl_life and state.shard != crl.FULL
    form = crl.Form(
        state.number,
        draft.this_update,
        next_update,
        crl.shard_url(url, issuer.id, state.shard),
        freshest=crl.delta_url(url, issuer.id, state.shard) if with_delta else "",
    )
    body = crl.assemble(issuer, desk.signing_key(issuer.key_id, SignKind.CRL), draft.entries, form)
    path = crl.list_path(issuer.id, state.shard)
    return Publication(path, body, state.number, crl.CONTENT_TYPE, draft.this_update, next_update, fence)


def _delta(desk: Desk, issuer: Issuer, draft: _Draft, changes: list[bytes], fence: int) -> Publication:
    """Signed beside the complete one, with its number (RFC 5280 §5.2.3)."""
    state = draft.state
    next_update = min(draft.this_update + desk.config.ca.delta_crl_life, crl.not_after(issuer))
    url = crl.shard_url(desk.config.server.status_url, issuer.id, state.shard)
    form = crl.Form(state.number, draft.this_update, next_update, url, base=state.base_number)
    body = crl.assemble(issuer, desk.signing_key(issuer.key_id, SignKind.CRL), changes, form)
    path = crl.delta_path(issuer.id, state.shard)
    return Publication(path, body, state.number, crl.CONTENT_TYPE, draft.this_update, next_update, fence)


def _put(desk: Desk, draft: _Draft, complete: Publication, delta: list[Publication]) -> None:
    state, store = draft.state, desk.store
    next_update = complete.fresh_until
    # A shard's last list stays what it is: nobody is to be woken because it ages.
    bodies = [_unageing(complete) if draft.last else complete, *delta]
    with store.transaction():
        for body in bodies:
            desk.publisher.put(body)
        store.shard_published(state.issuer, state.shard, state.generation, state.number, draft.this_update, next_update)
        if _wants_base(desk, draft):
            store.rebase_shard(state, draft.this_update)
        if draft.last:
            store.end_shard(state.issuer, state.shard, state.generation, desk.clock())
        desk.journal.append(_published_event(draft, complete, delta))


def _unageing(one: Publication) -> Publication:
    return Publication(one.path, one.body, one.version, one.content_type, one.this_update, fence=one.fence)


def _wants_base(desk: Desk, draft: _Draft) -> bool:
    """A base serves half of its life: whoever has it can use it as long again."""
    if not desk.config.ca.delta_crl_life or draft.state.shard == crl.FULL:
        return False
    return draft.this_update >= draft.state.base_at + desk.config.ca.crl_life // 2


def _published_event(draft: _Draft, complete: Publication, delta: list[Publication]) -> Event:
    state = draft.state
    detail = {
        "number": state.number,
        "next_update": complete.fresh_until,
        "octets": len(complete.body),
        "entries": len(draft.entries),
        "tbs_sha256": _tbs_sha256(complete.body),
        "delta_sha256": "".join(_tbs_sha256(one.body) for one in delta),
    }
    return Event("crl.published", SYSTEM, _target(state.issuer, state.shard), key=state.issuer, detail=detail)


def _target(issuer_id: str, shard: int) -> str:
    return f"crl:{issuer_id}:{crl.label(shard)}"


def _tbs_sha256(der: bytes) -> str:
    """What the signer's ledger knows this CRL by."""
    return hashlib.sha256(crl.tbs_of(der)).hexdigest()


def _journal_refusal(desk: Desk, issuer_id: str, shard: int, error: CAError) -> None:
    target = _target(issuer_id, shard)
    with desk.store.transaction():
        desk.journal.append_once(Event("publication.refused", SYSTEM, target, result="failed", reason=str(error)))


# --- the gate -----------------------------------------------------------------------------------


def published(desk: Desk, path: str) -> Publication | None:
    """The newest that is published at a path, by the row or in the folder: after a restore the folder knows more."""
    found = [desk.publisher.folder.get(path)]
    with suppress(NotFound):
        found.append(desk.publisher.get(path))
    return max((one for one in found if one is not None), key=lambda one: one.version, default=None)


def _gate(desk: Desk, issuer_id: str, following: Publication) -> None:
    previous = published(desk, following.path)
    if previous is not None:
        crl.gate(previous.body, following.body, lambda serial, before: _may_leave(desk, issuer_id, serial, before))


def _must_rise(desk: Desk, following: Publication) -> None:
    """A delta forgets what its base tells: only number and time are compared."""
    previous = published(desk, following.path)
    if previous is not None:
        crl.must_rise(previous.body, following.body)


def _may_leave(desk: Desk, issuer_id: str, serial: int, before: int) -> bool:
    """Expired before the last list was made, or released from a hold, which the journal must tell of."""
    try:
        if desk.store.not_after(issuer_id, serial) < before:
            return True
    except NotFound:
        return False
    if not desk.store.released_at(issuer_id, serial):
        return False
    told = journal.history(desk.store, f"certificate:{issuer_id}:{serial_hex(serial)}")
    return any(event["action"] == "certificate.released" for event in told)


def _newest_out(desk: Desk, issuer: Issuer, shard: int) -> _Out:
    """The highest number and time that this list has had: published, or signed by the ledger's account."""
    row = published(desk, crl.list_path(issuer.id, shard))
    scope = crl.ledger_scope(crl.shard_url(desk.config.server.status_url, issuer.id, shard))
    number, this_update = desk.signer.last_crl(issuer.key_id, scope)
    if row is None:
        return _Out(number, this_update)
    return _Out(max(number, row.version), max(this_update, row.this_update))
