"""What has to happen without a request: orders whose issuance broke off or waits, and everything whose time is over."""

from acme_server import issuance, order_log, problems
from acme_server.desk import Desk
from acme_server.records import Order
from ca.authority import Report
from ca.errors import CAError, PolicyDenied, Unavailable
from ca.records import SYSTEM

_LIMIT = 64
_EXPIRED = 1000


def sweep_orders(desk: Desk) -> Report:
    """Brings each order to its end whose issuance is overdue, or that waits and is due.

    Safe beside requests and on several nodes: each step is a conditional UPDATE. A lost HSM or database stops the
    run with its error.
    """
    found = [_settle(desk, order) for order in desk.orders.due(desk.now(), _LIMIT)]
    return Report("sweep_orders", done=found.count(True), failed=found.count(False))


def _settle(desk: Desk, order: Order) -> bool | None:
    """True: it came to its end or to its next try. False: it failed. None: the authority's sweep comes first."""
    if order.certificate:
        return desk.orders.make_valid(order.id)
    if not order.intent:
        return _issue(desk, order)
    match desk.store.intent(order.intent).state:
        case "open":
            return None
        case "withdrawn":
            return desk.orders.wait(order.id, order.intent, desk.now())
        case _:
            return _fail(desk, order, "serverInternal", issuance.AGAIN)


def _issue(desk: Desk, order: Order) -> bool | None:
    """The next try of an order that waits: nothing was signed for it yet."""
    if desk.now() >= order.expires:
        return _fail(desk, order, "serverInternal", "The CA could not sign before the order expired. Order again.")
    try:
        tried = issuance.issue(desk, order, issuance.request_for(order, order.public_key, ""))
    except Unavailable:
        raise
    except PolicyDenied as denied:
        return _fail(desk, order, "rejectedIdentifier", str(denied))
    except CAError:
        return _fail(desk, order, "serverInternal", issuance.AGAIN)
    if tried == order:
        return _fail(desk, order, "unauthorized", "The account or an authorization ended while the order waited.")
    return True


def expire(desk: Desk) -> Report:
    """Ends what is past its time: orders become invalid, authorizations expired, or invalid if never proved."""
    with desk.store.transaction():
        over = desk.proofs.expire(desk.now())
    ended = sum(_fail(desk, order, "malformed", "The order has expired.") is False for order in _over(desk))
    return Report("expire_acme", done=over + ended)


def _over(desk: Desk) -> tuple[Order, ...]:
    return desk.orders.expired(desk.now(), _EXPIRED)


def _fail(desk: Desk, order: Order, kind: str, detail: str) -> bool | None:
    """False once the order has failed; None if it had moved on."""
    error = problems.document(kind, detail, 500 if kind == "serverInternal" else 403)
    with desk.store.transaction():
        return False if order_log.fail(desk, order, error, SYSTEM) else None
