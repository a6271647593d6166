"""Orders that renew themselves, as their clients see them: cancelled, and their certificate fetched (RFC 8739 §3)."""

from dataclasses import replace
from email.utils import formatdate

from acme_server import certificates, order_log, payloads
from acme_server.courses.terms import Bounds, Terms, granted
from acme_server.desk import Answer, Asked, Desk, demand_owner
from acme_server.errors import AutoRenewalCanceled, AutoRenewalExpired, CancellationInvalid, Malformed, Unauthorized
from acme_server.problems import Problem, text
from acme_server.records import Order, OrderStatus
from ca.errors import NotFound
from ca.profiles import Profile
from ca.records import Actor, Certificate


def wanted(desk: Desk, asked: payloads.AutoRenewal, profile: Profile, now: int) -> Terms:
    """The terms that an order gets (§3.1.1, §3.2). Raises `Malformed`."""
    offered = desk.config.acme.star
    if not offered.enabled:
        raise Malformed("This CA offers no auto-renewal.", next_step="Order without it, and renew by ARI.")
    terms = Terms(
        payloads.time(asked.start_date, "start-date"),
        payloads.time(asked.end_date, "end-date"),
        asked.lifetime,
        asked.lifetime_adjust,
        asked.allow_certificate_get,
    )
    bounds = Bounds(
        offered.min_lifetime,
        offered.max_duration,
        offered.allow_certificate_get,
        profile.max_validity,
        profile.backdate,
    )
    return granted(terms, bounds, now)


def cancel(desk: Desk, asked: Asked, order: Order) -> Order:
    """No further certificate for this order, and no answer with the last one (§3.1.2).

    Raises `Malformed` for an order without auto-renewal, `CancellationInvalid` for one that is not valid.
    """
    if order.auto_renewal is None:
        raise Malformed("This order does not renew itself.", next_step="Revoke its certificate, or let it end.")
    if not end(desk, order, asked.by.actor, request_id=asked.request_id):
        raise CancellationInvalid(
            f"The order is {order.status}: only one that is valid can be cancelled.", next_step="Leave it as it is."
        )
    return desk.orders.get(order.id)


def end(desk: Desk, order: Order, by: Actor, error: Problem | None = None, request_id: str = "") -> bool:
    """Cancels an order if it is valid, with its journal entry; `error` says why, where its owner cannot know."""
    with desk.store.transaction():
        if not desk.courses.cancel(order.id, desk.now(), text(error) if error else ""):
            return False
        desk.journal(order_log.event("order.canceled", order, by, error, request_id))
    return True


def download(desk: Desk, asked: Asked, order_id: str, number: str = "0") -> Answer:
    """The certificate that counts now, with its chain (§3.3): for its account, or where granted for everybody (§3.4).

    Raises `Unauthorized`, `NotFound` before the first one, `AutoRenewalCanceled` or `AutoRenewalExpired`.
    """
    payloads.demand_empty(asked.payload)
    order = desk.orders.get(order_id)
    if order.auto_renewal is None or not order.certificate:
        raise NotFound("There is no such certificate.", next_step="Its URL stands in the order once that is valid.")
    _demand_reader(asked, order, order.auto_renewal)
    certificate = certificates.by_serial(desk, order.certificate)
    _demand_running(desk, order, order.auto_renewal, certificate)
    answer = certificates.written(desk, asked, certificate, number, desk.urls.star(order.id))
    return replace(answer, headers={"Cache-Control": "no-cache", **_times(certificate)})


def _demand_reader(asked: Asked, order: Order, terms: Terms) -> None:
    if asked.account is not None:
        demand_owner(asked, order.account)
    elif not terms.by_get:
        raise Unauthorized("This certificate is not for everybody.", next_step="Ask by POST-as-GET as its account.")


def _demand_running(desk: Desk, order: Order, terms: Terms, certificate: Certificate) -> None:
    if order.status is OrderStatus.CANCELED:
        raise AutoRenewalCanceled("The order was cancelled.", next_step="Place a new one.")
    if certificate.revoked_at:
        raise AutoRenewalCanceled("This CA revoked the certificate.", next_step="Ask its operators.")
    if desk.now() >= terms.end:
        raise AutoRenewalExpired("The order is past its end-date.", next_step="Place a new one.")


def _times(certificate: Certificate) -> dict[str, str]:
    """HTTP-dates in quotes, for clients that do not look into certificates (§3.3)."""
    times = {"Cert-Not-Before": certificate.not_before, "Cert-Not-After": certificate.not_after}
    return {name: f'"{formatdate(at, usegmt=True)}"' for name, at in times.items()}
