"""newOrder's `replaces` (RFC 9773 §5): a certificate is replaced by one order, and an order says which it replaces."""

from acme_server import renewal_info
from acme_server.desk import Desk
from acme_server.errors import AlreadyReplaced, Malformed, Unauthorized
from acme_server.records import Order
from ca.records import Certificate, serial_hex


def replaced_by(desk: Desk, order: Order) -> Certificate:
    """The certificate that an order says it replaces.

    Raises `Malformed` (no identifier, or no name in common), `NotFound` (not from here), or `Unauthorized` (another
    account's).
    """
    certificate = renewal_info.find(desk, order.replaces)
    if certificate.account != order.account:
        raise Unauthorized("The certificate to be replaced is not this account's.", next_step="Leave out replaces.")
    if not set(certificate.names) & set(order.identifiers):
        raise Malformed("The order has no name of the certificate that it replaces.", next_step="Leave out replaces.")
    return certificate


def mark(desk: Desk, certificate: Certificate, order: Order) -> bool:
    """Notes inside the open transaction that this order replaces the certificate; answers whether it is the first
    to do so, and renews: for the very same names.

    Raises `AlreadyReplaced` while another order does that is not invalid.
    """
    tries = desk.renewals.replace(serial_hex(certificate.serial), order, certificate.not_after)
    if not tries:
        raise AlreadyReplaced("Another order replaces this certificate.", next_step="Leave out replaces.")
    return tries == 1 and set(certificate.names) == set(order.identifiers)
