"""What has to happen without a request: orders whose issuance broke off or waits, and everything whose time is over."""

from enum import StrEnum

from acme_server import issuance, order_log, problems
from acme_server.desk import Desk
from acme_server.records import Order
from acme_server.validation.tables import Attempts
from ca.authority import Report
from ca.errors import CAError, PolicyDenied, Unavailable
from ca.records import SYSTEM

_LIMIT = 64
_EXPIRED = 1000


class _End(StrEnum):
    """What a sweep made of an order."""

    DONE = "done"
    FAILED = "failed"
    LEFT = "left"


def sweep_orders(desk: Desk) -> Report:
    """Brings each order to its end whose issuance is overdue, or that waits and is due.

    Safe beside requests and on several nodes: each step is a conditional UPDATE. A lost HSM or database stops the
    run with its error: for those who only wait nothing is begun while the signer cannot sign.
    """
    due, now = desk.orders.due(desk.now(), _LIMIT), desk.now()
    waiting = [order for order in due if not order.certificate and not order.intent and now < order.expires]
    found = [_settle(desk, order) for order in due if order not in waiting]
    if waiting:
        desk.authority.demand_signer()
    found += [_issue(desk, order) for order in waiting]
    return Report("sweep_orders", done=found.count(_End.DONE), failed=found.count(_End.FAILED))


def _settle(desk: Desk, order: Order) -> _End:
    """The certificate is there, or the time is over, or the intent tells; an open one is the authority's to end."""
    if order.certificate:
        return _End.DONE if desk.orders.make_valid(order.id) else _End.LEFT
    if not order.intent:
        return _fail(desk, order, "serverInternal", "The CA could not sign before the order expired. Order again.")
    match desk.store.intent(order.intent).state:
        case "open":
            return _End.LEFT
        case "withdrawn":
            return _End.DONE if desk.orders.wait(order.id, order.intent, desk.now()) else _End.LEFT
        case _:
            return _fail(desk, order, "serverInternal", issuance.AGAIN)


def _issue(desk: Desk, order: Order) -> _End:
    """The next try of an order that waits: nothing was signed for it yet."""
    try:
        tried = issuance.issue(desk, order, issuance.first_for(desk, order, order.public_key, ""))
    except Unavailable:
        raise
    except PolicyDenied as denied:
        return _fail(desk, order, "rejectedIdentifier", str(denied))
    except CAError:
        return _fail(desk, order, "serverInternal", issuance.AGAIN)
    if tried == order:
        return _fail(desk, order, "unauthorized", "The account or an authorization ended while the order waited.")
    return _End.DONE


def expire(desk: Desk) -> Report:
    """Ends what is past its time: orders become invalid, authorizations expired, or invalid if never proved.

    Tries of challenges that were kept long enough are forgotten.
    """
    with desk.store.transaction():
        over = desk.proofs.expire(desk.now()) + Attempts(desk.store).expire(desk.now())
    orders = desk.orders.expired(desk.now(), _EXPIRED)
    ended = [_fail(desk, order, "malformed", "The order has expired.") for order in orders]
    return Report("expire_acme", done=over + ended.count(_End.FAILED))


def _fail(desk: Desk, order: Order, kind: str, detail: str) -> _End:
    error = problems.document(kind, detail, 500 if kind == "serverInternal" else 403)
    with desk.store.transaction():
        return _End.FAILED if order_log.fail(desk, order, error, SYSTEM) else _End.LEFT
