"""newOrder: which names, by which profile, proved how, and against which limits (RFC 8555 §7.4)."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

from acme_server import identifiers, issuance, order_log, payloads, replacement, subdomains
from acme_server.authorizations import REUSE_MARGIN, new_authorization, waive
from acme_server.courses.terms import Terms
from acme_server.desk import Answer, Asked, Desk
from acme_server.directory import demand_profile
from acme_server.eab.credential import Credential
from acme_server.eab.tables import Credentials
from acme_server.errors import InvalidProfile, Malformed
from acme_server.limits import pauses, rates
from acme_server.limits.rates import Limit
from acme_server.orders import shown
from acme_server.records import Authorization, AuthorizationStatus, Order, OrderStatus, new_id
from acme_server.star import orders as star
from acme_server.validation import kinds
from ca.errors import NotFound, PolicyDenied
from ca.profiles import Profile, certificate_period
from ca.records import Issuer, Name


def place(desk: Desk, asked: Asked, profile: str = "") -> Answer:
    """newOrder (§7.4): names that are permitted, each with a valid authorization of this account or a new one.

    Raises `Malformed`, `UnsupportedIdentifier`, `RejectedIdentifier`, `UserActionRequired`, `InvalidProfile` or
    `NotFound` for a profile that is not offered, and what `replacement` raises.
    """
    desk.demand_terms(asked.by)
    bound = Credentials(desk.store).get(asked.by.eab) if asked.by.eab else None
    wanted = payloads.read(asked.payload, payloads.NewOrder)
    order = _wanted(desk, asked, wanted, profile, bound)
    ancestors = subdomains.ancestors(desk, wanted.identifiers)
    waiver = _waiver(desk, asked, order, bound)
    pauses.demand_none(desk, asked.by, order.identifiers)
    replaced = replacement.replaced_by(desk, order) if order.replaces else None
    with desk.store.transaction():
        if waiver:
            found = [waive(desk, order, name, waiver) for name in order.identifiers]
        else:
            found = _authorizations(desk, order, ancestors)
        order = _over(order, found)
        desk.orders.add(order)
        renews = replacement.mark(desk, replaced, order) if replaced else False
        rates.take(desk.store, _limits(desk, order, bound, renews), order.created_at)
        desk.journal(order_log.event("order.created", order, asked.by.actor, request_id=asked.request_id))
    return shown(desk, order, 201)


def _limits(desk: Desk, order: Order, bound: Credential | None, renews: bool) -> Iterator[Limit]:
    """What an order counts against. A renewal of the very same names is free of all but its credential's quota."""
    if bound and bound.quota:
        yield rates.orders_by(bound.id, bound.quota)
    limits = desk.config.acme.limits
    if not renews:
        yield rates.orders_of(order.account, limits.orders_per_account)
        for name in order.identifiers if limits.orders_per_name else ():
            yield rates.orders_for(name, limits.orders_per_name)


def _waiver(desk: Desk, asked: Asked, order: Order, bound: Credential | None) -> Credential | None:
    """The credential that vouches for the names of this order without a proof, if there is one."""
    if (
        bound
        and not order.auto_renewal
        and bound.waives(desk.authority.profile(order.profile), asked.address, order.created_at)
    ):
        return bound
    return None


def _wanted(desk: Desk, asked: Asked, wanted: payloads.NewOrder, directory: str, bound: Credential | None) -> Order:
    """The order without its authorizations; its own profile counts, else that of the directory that led here."""
    profile_name = _chosen(desk, wanted.profile) if wanted.profile else demand_profile(desk, directory)
    if bound:
        _demand_scope(bound, profile_name)
    profile, issuer = desk.authority.profile(profile_name), desk.authority.active_issuer()
    names = identifiers.parse(
        wanted.identifiers,
        desk.config.acme.max_names,
        partial(_permit, desk, profile, issuer, bound),
    )
    now = desk.now()
    order = Order(
        id=new_id(),
        account=asked.by.id,
        status=OrderStatus.PENDING,
        profile=profile_name,
        identifiers=names,
        authorizations=(),
        not_before=payloads.time(wanted.not_before, "notBefore"),
        not_after=payloads.time(wanted.not_after, "notAfter"),
        expires=now + desk.config.acme.order_life,
        created_at=now,
        replaces=wanted.replaces or "",
        auto_renewal=_auto_renewal(desk, wanted, profile, now),
    )
    _demand_period(desk, order, profile, issuer)
    return order


def _permit(desk: Desk, profile: Profile, issuer: Issuer, bound: Credential | None, name: Name) -> None:
    """Raises `PolicyDenied` for a name that is not to be had, `BadName` for one that no challenge here can prove."""
    desk.authority.policy.permit_name(name, profile, issuer)
    if bound:
        bound.permit_name(name)
    kinds.demand_provable(desk.config, name)


def _demand_scope(bound: Credential, profile: str) -> None:
    try:
        bound.permit_profile(profile)
    except PolicyDenied as denied:
        raise InvalidProfile(denied.detail, next_step=denied.next_step) from None


def _chosen(desk: Desk, profile: str) -> str:
    try:
        return demand_profile(desk, profile)
    except NotFound as error:
        raise InvalidProfile(error.detail, next_step=error.next_step) from None


def _auto_renewal(desk: Desk, wanted: payloads.NewOrder, profile: Profile, now: int) -> Terms | None:
    """Raises `Malformed`: notBefore and notAfter are not for orders that renew themselves (RFC 8739 §3.1.1)."""
    if wanted.auto_renewal is None:
        return None
    if wanted.not_before or wanted.not_after:
        raise Malformed("auto-renewal has a start-date and an end-date.", next_step="Leave out notBefore and notAfter.")
    return star.wanted(desk, wanted.auto_renewal, profile, now)


def _demand_period(desk: Desk, order: Order, profile: Profile, issuer: Issuer) -> None:
    """notBefore and notAfter are honoured to the second, or the order is refused now."""
    if not (order.not_before or order.not_after or order.auto_renewal):
        return
    request = issuance.first_for(desk, order, b"", "")
    try:
        profile.period(request, order.created_at, certificate_period(issuer.certificate))
    except PolicyDenied as denied:
        raise Malformed(denied.detail, next_step=denied.next_step or "Leave notBefore and notAfter out.") from None


def _authorizations(desk: Desk, order: Order, ancestors: Mapping[Name, Name]) -> list[Authorization]:
    """Those that the account has already and that last, else new ones that last as long as the order.

    A new one is for the name, or for the ancestor that the client named and all below it; each stands there once.
    """
    found: dict[str | tuple[Name, bool], Authorization] = {}
    for name in order.identifiers:
        try:
            held = _held(desk, order, name)
            found[held.id] = held
        except NotFound:
            wanted = (ancestors[name], True) if name in ancestors else (name, False)
            if wanted not in found:
                found[wanted] = new_authorization(desk, order.account, wanted[0], order.expires, wanted[1])
    return list(found.values())


def _held(desk: Desk, order: Order, name: Name) -> Authorization:
    """One that the account has for the name, or for all below a domain above it. Raises `NotFound`."""
    until = order.created_at + REUSE_MARGIN
    try:
        return desk.proofs.usable(order.account, name, until)
    except NotFound:
        return subdomains.usable(desk, order.account, name, until)


def _over(order: Order, found: list[Authorization]) -> Order:
    """The order over these authorizations: ready if all are valid, and never lasting longer than one of them."""
    ready = all(one.status is AuthorizationStatus.VALID for one in found)
    return replace(
        order,
        status=OrderStatus.READY if ready else OrderStatus.PENDING,
        authorizations=tuple(one.id for one in found),
        expires=min(order.expires, *(one.expires for one in found)),
    )
