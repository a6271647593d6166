"""What the journal tells of an order, and the one way in which an order fails."""

from acme_server import problems
from acme_server.desk import Desk
from acme_server.records import Order
from ca.records import Actor, Event


def actor(account_id: str) -> Actor:
    """An ACME account as the journal names it."""
    return Actor("account", account_id, "acme")


def event(action: str, order: Order, by: Actor, error: problems.Problem | None = None, request_id: str = "") -> Event:
    """An event about an order. Its names, and what was said about them, can be erased."""
    told = {"error": error["detail"]} if error else {}
    return Event(
        action,
        by,
        f"order:{order.id}",
        result="failed" if error else "ok",
        reason=problems.kind_of(error) if error else "",
        request_id=request_id,
        detail={"account": order.account, "profile": order.profile, "names": len(order.identifiers)},
        personal={"names": " ".join(map(str, order.identifiers)), **told},
    )


def fail(desk: Desk, order: Order, error: problems.Problem, by: Actor, request_id: str = "") -> bool:
    """Makes an order invalid inside the open transaction, with its journal entry.

    Answers False, and does nothing, if the order has moved on since it was read.
    """
    if not desk.orders.invalidate(order, problems.text(error)):
        return False
    desk.journal(event("order.invalid", order, by, error, request_id))
    return True
