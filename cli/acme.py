"""`certwright acme`: accounts and orders, as the operator sees them."""

import json
from typing import TYPE_CHECKING, Any

import click

from ca.clock import rfc3339
from ca.errors import NotFound
from cli.output import answer, facts, table
from cli.session import Session, command, operator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from acme_server.records import Account, Authorization, Challenge, Order
    from acme_server.tables import Accounts
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


@command()
@click.argument("account")
def account(session: Session, account: str) -> None:
    """Shows an account by its id (the end of its URL), with its newest orders."""
    from acme_server.tables import Accounts, Orders

    with session.authority() as authority:
        shape = _account(_held(Accounts(authority.store), account))
        found = Orders(authority.store).recent(10, account)
        rows = [_order(one.at(authority.clock())) for one in found]
    pairs = [(name, " ".join(v) if isinstance(v, list) else v or "-") for name, v in shape.items()]
    cells = [(row["id"], row["status"], " ".join(row["names"]), row["created_at"]) for row in rows]
    head = ("order", "status", "names", "created_at")
    answer(session, {**shape, "orders": rows}, lambda: f"{facts(pairs)}\n\n{table(head, cells, 'No orders.')}")


@command(changes=True)
@click.argument("account")
def deactivate(session: Session, account: str) -> None:
    """Ends an account for ever, with its authorizations and open orders; its certificates stay valid."""
    from acme_server import closing
    from acme_server.desk import Desk
    from acme_server.records import AccountStatus

    with session.authority() as authority:
        desk = Desk(authority)
        found = _held(desk.accounts, account)
        if session.dry_run:
            answer(session, {"dry_run": True, "id": account}, f"Would end the account {account} ({found.status}).")
            return
        session.confirm(f"End the account {account} for ever?")
        closing.close(desk, found, AccountStatus.REVOKED, operator())
        shape = _account(desk.accounts.get(account))
    answer(session, shape, f"{account} is {shape['status']}")


@command(changes=True)
@click.argument("account")
def resume(session: Session, account: str) -> None:
    """Lets an account order again what was paused because it failed too often."""
    from acme_server.desk import Desk
    from acme_server.limits import pauses

    with session.authority() as authority:
        desk = Desk(authority)
        found = _held(desk.accounts, account)
        if session.dry_run:
            answer(session, {"dry_run": True, "id": account}, f"Would resume the account {found.id}.")
            return
        names = pauses.resume(desk, found.id, operator())
    answer(session, {"id": account, "resumed": names}, f"resumed {names} names of {account}")


def _held(accounts: "Accounts", account: str) -> "Account":
    """The account of that id. Raises `NotFound`, in an operator's words and not in those for ACME clients."""
    from acme_server.errors import AccountDoesNotExist

    try:
        return accounts.get(account)
    except AccountDoesNotExist:
        step = "See 'certwright acme account list'."
        raise NotFound(f"There is no account {account[:80]!r}.", next_step=step) from None


def _account(one: "Account") -> dict[str, Any]:
    return {
        "id": one.id,
        "status": str(one.status),
        "contact": list(one.contact),
        "eab": one.eab or None,
        "thumbprint": one.thumbprint,
        "paused": one.paused,
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
    """Shows an order, its authorizations, and each try of its challenges: what was asked, what came, what to do."""
    import acme_server
    from acme_server.tables import Orders, Proofs
    from acme_server.validation.attempts import whole

    with session.authority() as authority:
        now, proofs = authority.clock(), Proofs(authority.store)
        found = Orders(authority.store).get(order_id).at(now)
        proved = [_proof(proofs.get(needed).at(now), proofs.challenges(needed)) for needed in found.authorizations]
        tries = acme_server.tries(authority, order_id)
    value = {**_order(found), "authorizations": proved, "tries": [whole(one) for one in tries]}
    answer(session, value, lambda: _told(found, proved, tries))


def _told(found: "Order", proved: list[dict[str, Any]], tries: "tuple[Attempt, ...]") -> str:
    from acme_server.validation.attempts import lines_of

    row = _order(found)
    head = facts((name, " ".join(v) if isinstance(v := row[name], list) else v or "-") for name in row)
    cells = [
        (proof["name"], proof["status"], challenge["type"], challenge["status"], challenge["why"] or "")
        for proof in proved
        for challenge in proof["challenges"] or [{"type": "-", "status": "-", "why": "waived: nobody proved it"}]
    ]
    names = table(("name", "authorization", "challenge", "status", "why"), cells, "No authorizations.")
    shown = ["\n".join(lines_of(one, inside=True)) for one in tries]
    none = "No try of a challenge is kept: none was made, or it is long ago."
    return "\n\n".join([head, names, *(shown or [none])])


def _proof(one: "Authorization", challenges: "Sequence[Challenge]") -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.value,
        "status": str(one.status),
        "expires": rfc3339(one.expires),
        "waived_by": one.waived_by or None,
        "challenges": [
            {
                "type": each.type,
                "status": str(each.status),
                "why": json.loads(each.error)["detail"] if each.error else None,
            }
            for each in challenges
        ],
    }


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
        "renews_until": rfc3339(one.auto_renewal.end) if one.auto_renewal else None,
        "why": json.loads(one.error).get("detail") if one.error else None,
    }
