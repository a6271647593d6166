"""Mass revocation: all that a query finds, as a job that shows how far it is and survives being killed (B-09, INC-09).

    mass = begin(desk, query, request)            # recorded and journalled; nothing is revoked yet
    mass = go_on(desk, mass.id, tell)             # here, or by the scheduler, wherever the last runner stopped

Facts are written in transactions of `STEP`, each with its journal entries and the job's place; what was revoked is
published after every `ROUND` and at the end. Two who run one job at once cannot count or revoke anything twice.
"""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice

from ca.authority.answers import refresh_answers
from ca.authority.crls import publish_crls
from ca.authority.desk import Desk
from ca.authority.report import Report
from ca.authority.revoke import check, record
from ca.errors import AlreadyRevoked, BadRequest, Conflict, HSMError
from ca.profiles import OWN_PROFILE
from ca.records import Certificate, Event, MassRevocation, Query, Reason, Revocation, RevokeRequest

STEP = 500
ROUND = 10_000
SHOWN = 10
ASLEEP = 30
"""Seconds without a step, after which the scheduler takes a job over."""

SPARED = (
    "The certificate that this CA serves its own pages with matches too, and is left out: "
    "renew it, then revoke the old one by its serial."
)

Tell = Callable[[MassRevocation], object]
_SELECTS = ("text", "name", "profile", "owner", "issuer", "account", "token", "public_key")
_WORDS = {"san": "name", "key": "public_key", **{name: name for name in _SELECTS}}


def nothing(_: MassRevocation) -> None:
    """Hears, and does nothing."""


def parse_query(text: str) -> Query:
    """`owner:payments name:*.pay.test`: the certificates to which all of it applies. Raises `BadRequest`."""
    wanted: dict[str, str] = {}
    for part in text.split():
        word, _, value = part.partition(":")
        if word not in _WORDS or not value or _WORDS[word] in wanted:
            raise BadRequest(
                f"{part!r} is no part of a query.", next_step=f"Write WORD:VALUE, each once, of {', '.join(_WORDS)}."
            )
        wanted[_WORDS[word]] = value
    return Query(**wanted)  # type: ignore[arg-type]


def query_text(query: Query) -> str:
    """A query as `parse_query` reads it."""
    return " ".join(f"{name}:{getattr(query, name)}" for name in _SELECTS if getattr(query, name))


def preview(desk: Desk, query: Query, request: RevokeRequest) -> tuple[int, tuple[Certificate, ...]]:
    """How many certificates would be revoked, and some of them. Raises what `begin` raises."""
    check(desk, request)
    _demand_selection(query)
    due = (one for one in _found(desk, query) if _is_due(desk, one, request))
    sample = tuple(islice(due, SHOWN))
    return len(sample) + sum(1 for _ in due), sample


def spared(desk: Desk, query: Query) -> bool:
    """Whether the query finds a certificate that this CA serves its own pages with: it is left out (`SPARED`)."""
    _demand_selection(query)
    if query.profile not in ("", OWN_PROFILE):
        return False
    return any(True for _ in _found(desk, replace(query, profile=OWN_PROFILE, status="valid")))


def begin(desk: Desk, query: Query, request: RevokeRequest) -> MassRevocation:
    """Records what is to be revoked, with its journal entry. Raises `BadRequest` for a query that excludes nothing."""
    total, _ = preview(desk, query, request)
    now = desk.clock()
    mass = MassRevocation(secrets.token_hex(8), query, request, "running", total, created_at=now, updated_at=now)
    with desk.store.transaction():
        desk.store.add_mass(mass)
        desk.journal.append(_event(mass, "revocation.begun"))
    return mass


def go_on(desk: Desk, mass_id: str, tell: Tell = nothing, prepare: Tell = nothing) -> MassRevocation:
    """Revokes from where it stands to its end, publishing on the way; `tell` hears after each step.

    `prepare` is what is done before the first certificate is revoked; after a crash it may be done again.
    Raises `StoreUnavailable`, and at its end the HSM family when what was revoked could not be published: that is the
    scheduler's then. A job that another runs meanwhile is answered as it stands.
    """
    mass = desk.store.mass(mass_id)
    if mass.state == "running" and not mass.revoked + mass.skipped:
        prepare(mass)
    published, trouble = mass.revoked, None
    while mass.state == "running":
        try:
            mass = _step(desk, mass)
        except Conflict:
            return desk.store.mass(mass_id)
        tell(mass)
        if mass.revoked - published >= ROUND or (mass.state == "done" and mass.revoked > published):
            published, trouble = mass.revoked, _publish(desk)
    if trouble is not None:
        raise trouble
    return mass


def stop(desk: Desk, mass_id: str, request: RevokeRequest) -> MassRevocation:
    """Ends a job before its end; what is revoked stays revoked. Raises `Conflict` when it is over or under way."""
    mass = desk.store.mass(mass_id)
    if mass.state != "running":
        raise Conflict(f"This mass revocation is {mass.state}.", next_step="There is nothing to stop.")
    stopped = replace(mass, state="stopped", updated_at=desk.clock())
    with desk.store.transaction():
        desk.store.move_mass(mass, stopped)
        desk.journal.append(_event(replace(stopped, request=request), "revocation.stopped"))
    return stopped


def go_on_with_all(desk: Desk, prepare: Tell = nothing) -> Report:
    """Takes over what was begun and does not move: begun by a door, or left behind by a runner that died."""
    before = desk.store.running_masses(desk.clock())
    due = [one for one in before if one.revoked + one.skipped == 0 or one.updated_at <= desk.clock() - ASLEEP]
    after = [go_on(desk, one.id, prepare=prepare) for one in due]
    return Report("revoke_masses", sum(b.revoked - a.revoked for a, b in zip(due, after, strict=True)))


def _demand_selection(query: Query) -> None:
    if not any(getattr(query, name) for name in _SELECTS):
        raise BadRequest("This query would revoke everything.", next_step="Name at least an issuer: issuer:issuing-g1.")
    if replace(query, **dict.fromkeys(_SELECTS, ""), issued_until=0) != Query():  # type: ignore[arg-type]
        raise BadRequest("A mass revocation takes no status, tag, order or page.", next_step="Leave them out.")


def _found(desk: Desk, query: Query) -> Iterator[Certificate]:
    query = replace(query, limit=1000)
    while True:
        page = desk.store.find(query, desk.clock())
        yield from page.items
        if not page.next:
            return
        query = replace(query, after=page.next)


def _is_due(desk: Desk, certificate: Certificate, request: RevokeRequest) -> bool:
    """Not expired, and not revoked; or revoked for less than keyCompromise when that is the reason now.

    Never what this CA serves its own pages with: whoever revokes from there could not see how it ends.
    """
    if certificate.not_after < desk.clock() or certificate.profile == OWN_PROFILE:
        return False
    if not certificate.revoked_at:
        return True
    known, wanted = certificate.reason, request.reason
    if known == Reason.CERTIFICATE_HOLD:
        return wanted is not Reason.CERTIFICATE_HOLD
    return wanted is Reason.KEY_COMPROMISE and known != Reason.KEY_COMPROMISE


def _step(desk: Desk, mass: MassRevocation) -> MassRevocation:
    """The next `STEP` certificates, in one transaction with the job's place. Raises `Conflict` if that has moved."""
    page = desk.store.find(replace(mass.query, after=mass.cursor, limit=STEP), desk.clock())
    with desk.store.transaction():
        done = sum(_revoke(desk, one, mass.request) for one in page.items)
        after = replace(
            mass,
            state="running" if page.next else "done",
            revoked=mass.revoked + done,
            skipped=mass.skipped + len(page.items) - done,
            updated_at=desk.clock(),
            cursor=page.next,
        )
        desk.store.move_mass(mass, after)
        if after.state == "done":
            desk.journal.append(_event(after, "revocation.ended"))
    return after


def _revoke(desk: Desk, certificate: Certificate, request: RevokeRequest) -> bool:
    if not _is_due(desk, certificate, request):
        return False
    try:
        record(desk, _fact(desk, certificate, request), request.request_id)
    except AlreadyRevoked:  # by somebody else, since the page was read
        return False
    return True


def _fact(desk: Desk, certificate: Certificate, request: RevokeRequest) -> Revocation:
    return Revocation(
        certificate.issuer,
        certificate.serial,
        desk.clock(),
        request.reason,
        request.actor,
        certificate.not_after,
        request.comment,
        request.invalidity_date,
    )


def _publish(desk: Desk) -> HSMError | None:
    """Lists and answers of all that waits; one that cannot be signed does not keep the other from going out."""
    trouble: HSMError | None = None
    for publish in (partial(publish_crls, desk), partial(refresh_answers, desk, ROUND)):
        try:
            publish()
        except HSMError as error:
            trouble = error
    return trouble


def _event(mass: MassRevocation, action: str) -> Event:
    chosen = {name: getattr(mass.query, name) for name in (*_SELECTS, "issued_until") if getattr(mass.query, name)}
    return Event(
        action,
        mass.request.actor,
        f"revocation:{mass.id}",
        reason=mass.request.reason,
        request_id=mass.request.request_id,
        detail={"query": chosen, "total": mass.total, "revoked": mass.revoked, "comment": mass.request.comment},
    )
