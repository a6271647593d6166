"""RFC 8555 and its extensions: the doors that ACME clients knock at. Knows `ca`, and no timer."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from acme_server.door import Door
    from acme_server.renewal_info import Call
    from acme_server.validation.records import Attempt
    from ca.authority import Authority, Report
    from ca.records import Actor, MassRevocation


def application(authority: "Authority") -> "Door":
    """Every path below /acme, as a WSGI application that is given whole paths.

    Raises `ConfigError` for profiles or a nonces' folder that cannot be.
    """
    from acme_server.door import Door

    return Door(authority)


def sweep_orders(authority: "Authority") -> "Report":
    """Brings orders to an end whose issuance broke off or waits for the HSM. Safe on every node."""
    from acme_server import upkeep
    from acme_server.desk import Desk

    return upkeep.sweep_orders(Desk(authority))


def call_for_renewal(
    authority: "Authority", serials: tuple[int, ...], actor: "Actor", per_second: float = 0.0
) -> "Call":
    """Tells clients to renew these certificates now, no faster than this CA can issue: see `renewal_info.call`."""
    from acme_server import renewal_info
    from acme_server.desk import Desk

    return renewal_info.call(Desk(authority), serials, actor, per_second)


def call_ahead(authority: "Authority", mass: "MassRevocation", per_second: float = 0.0) -> None:
    """Has the ACME clients of a mass revocation renew, before anything of it is revoked: see `renewal_info.call`."""
    from acme_server import renewal_info
    from acme_server.desk import Desk

    desk = Desk(authority)
    serials = tuple(renewal_info.with_clients(desk, mass.query))
    if serials:
        renewal_info.call(desk, serials, mass.request.actor, per_second)


def renew_stars(authority: "Authority") -> "Report":
    """Makes the due certificates of orders that renew themselves (RFC 8739). Safe on every node."""
    from acme_server.desk import Desk
    from acme_server.star import renewal

    return renewal.renew(Desk(authority))


def purge(authority: "Authority") -> "Report":
    """Deletes orders, authorizations and challenges that have been finished for `acme.retention`."""
    from acme_server import retention
    from acme_server.desk import Desk

    return retention.purge(Desk(authority))


def expire(authority: "Authority") -> "Report":
    """Ends orders and authorizations that are past their time. Safe on every node."""
    from acme_server import upkeep
    from acme_server.desk import Desk

    return upkeep.expire(Desk(authority))


def tries(authority: "Authority", order_id: str) -> "tuple[Attempt, ...]":
    """The tries of the challenges that an order needs, the oldest first, for operators. Raises `NotFound`."""
    from acme_server.desk import Desk
    from acme_server.validation.tables import Attempts

    desk = Desk(authority)
    return Attempts(desk.store).of(desk.orders.get(order_id))
