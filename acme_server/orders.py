"""Orders: looked at and finalized (RFC 8555 §7.4); `acme_server.new_order` places them."""

from acme_server import issuance, payloads, resources
from acme_server.desk import Answer, Asked, Desk, demand_owner
from acme_server.errors import Malformed, OrderNotReady
from acme_server.records import Order, OrderStatus
from acme_server.star import orders as star
from acme_server.strict import decode
from ca import csr
from ca.errors import BadCSR, BadPublicKey, PolicyDenied
from ca.records import Name

POLL = 1
"""Seconds after which it is worth looking again."""

NEXT_STEPS = {
    OrderStatus.PENDING: "Look at it: its authorizations come first.",
    OrderStatus.PROCESSING: "Look at it again in a moment: the certificate is being made.",
    OrderStatus.VALID: "Take the certificate at its URL in the order.",
    OrderStatus.INVALID: "Look at its error, and place a new order.",
    OrderStatus.CANCELED: "Place a new order.",
}
"""What an order that is not ready waits for."""


def show_or_cancel(desk: Desk, asked: Asked, order_id: str) -> Answer:
    """An order by its owner: as it is (POST-as-GET), or cancelled for ever, if it renews itself (RFC 8739 §3.1.2)."""
    order = _own(desk, asked, order_id)
    if asked.payload and payloads.read(asked.payload, payloads.OrderUpdate).status == OrderStatus.CANCELED:
        order = star.cancel(desk, asked, order)
    elif asked.payload:
        raise Malformed("Of an order nothing can be changed.", next_step="Send an empty payload (POST-as-GET).")
    return shown(desk, order)


def finalize(desk: Desk, asked: Asked, order_id: str) -> Answer:
    """The CSR for a ready order; answers the order, valid with its certificate if nothing is in the way.

    Raises `OrderNotReady`, `BadCSR`, or `Malformed`. Of two at once one issues, and both get the same order.
    """
    order = _own(desk, asked, order_id)
    if order.status is not OrderStatus.READY:
        raise OrderNotReady(f"The order is {order.status}.", next_step=NEXT_STEPS[order.status])
    request = issuance.first_for(desk, order, _public_key(asked, order), asked.request_id)
    try:
        return shown(desk, issuance.issue(desk, order, request))
    except (PolicyDenied, BadPublicKey) as denied:
        raise BadCSR(denied.detail, next_step=denied.next_step) from None


def _public_key(asked: Asked, order: Order) -> bytes:
    """The key of the CSR, if its names are those of the order, exactly, and its key is not the account's (A-26)."""
    wanted = payloads.read(asked.payload, payloads.Finalize)
    der = decode(wanted.csr, "The csr")
    if der.startswith(b"-"):
        raise BadCSR("The csr is PEM.", next_step="Send base64url of the DER, without armour.")
    try:
        found = csr.parse(der)
    except BadPublicKey as error:
        raise BadCSR(error.detail, next_step=error.next_step) from None
    if set(found.names) != set(order.identifiers):
        raise BadCSR(
            f"The CSR names {_listed(found.names)}, the order {_listed(order.identifiers)}.",
            next_step="Put exactly the order's identifiers into subjectAltName.",
        )
    if asked.key is not None and found.spki == asked.key.spki:
        raise BadCSR("The CSR is for the account's own key.", next_step="Make a key of its own for the certificate.")
    return found.spki


def _listed(names: tuple[Name, ...]) -> str:
    shown = sorted(name.value for name in names)
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")


def _own(desk: Desk, asked: Asked, order_id: str) -> Order:
    order = desk.orders.get(order_id)
    demand_owner(asked, order.account)
    return order.at(desk.now())


def shown(desk: Desk, order: Order, status: int = 200) -> Answer:
    """An order as its owner sees it."""
    return Answer(
        resources.order(order, desk.urls),
        status,
        location=desk.urls.order(order.id),
        retry_after=POLL if order.status is OrderStatus.PROCESSING else 0,
    )
