"""`certwright acme`: accounts and orders, as the operator sees them."""

import json
from typing import TYPE_CHECKING, Any

import click

from ca.clock import rfc3339
from cli.output import answer, table
from cli.session import Session, command

if TYPE_CHECKING:
    from acme_server.records import Account, Order
    from acme_server.validation.records import Attempt

LIMIT = click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many.")


@command()
@LIMIT
def accounts(session: Session, limit: int) -> None:
    """Lists the accounts, the newest first."""
    from acme_server.tables import Accounts

    with session.authority() as authority:
        rows = [_account(one) for one in Accounts(authority.store).recent(limit)]
    cells = [(row["id"], row["status"], " ".join(row["contact"]), row["created_at"]) for row in rows]
    answer(session, rows, lambda: table(("id", "status", "contact", "created_at"), cells, "No client registered yet."))


def _account(one: "Account") -> dict[str, Any]:
    return {
        "id": one.id,
        "status": str(one.status),
        "contact": list(one.contact),
        "created_at": rfc3339(one.created_at),
    }


@command()
@click.option("--account", default="", help="Only of that account.")
@LIMIT
def orders(session: Session, account: str, limit: int) -> None:
    """Lists the orders, the newest first; of one that failed, why."""
    from acme_server.tables import Orders

    with session.authority() as authority:
        found = Orders(authority.store).recent(limit, account)
        rows = [_order(one.at(authority.clock())) for one in found]
    head = ("id", "status", "names", "profile", "created_at", "certificate", "why")
    cells = [[" ".join(v) if isinstance(v := row[name], list) else v or "" for name in head] for row in rows]
    answer(session, rows, lambda: table(head, cells, "No orders."))


@command()
@click.argument("order_id", metavar="ID")
def order(session: Session, order_id: str) -> None:
    """Shows an order, and each try of its challenges: what was asked, what came, how long it took, what to do next."""
    import acme_server
    from acme_server.tables import Orders
    from acme_server.validation.attempts import whole

    with session.authority() as authority:
        found = Orders(authority.store).get(order_id).at(authority.clock())
        tries = acme_server.tries(authority, order_id)
    value = {**_order(found), "tries": [whole(one) for one in tries]}
    answer(session, value, lambda: _told(found, tries))


def _told(found: "Order", tries: "tuple[Attempt, ...]") -> str:
    from acme_server.validation.attempts import lines_of

    row = _order(found)
    head = [f"{name:12}{' '.join(v) if isinstance(v := row[name], list) else v or '-'}" for name in row]
    shown = ["\n".join(lines_of(one, inside=True)) for one in tries]
    return "\n\n".join(
        ["\n".join(head), *(shown or ["No try of a challenge is kept: none was made, or it is long ago."])]
    )


def _order(one: "Order") -> dict[str, Any]:
    return {
        "id": one.id,
        "account": one.account,
        "status": str(one.status),
        "names": [name.value for name in one.identifiers],
        "profile": one.profile,
        "created_at": rfc3339(one.created_at),
        "expires": rfc3339(one.expires),
        "certificate": one.certificate or None,
        "why": json.loads(one.error).get("detail") if one.error else None,
    }
