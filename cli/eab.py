"""`certwright acme eab`: credentials by which clients register accounts."""

from typing import TYPE_CHECKING, Any

import click

from ca.clock import rfc3339
from cli.output import answer, table
from cli.session import Session, command, operator
from cli.types import DURATION

if TYPE_CHECKING:
    from acme_server.eab.credential import Credential


@command(changes=True, eyes=True)
@click.argument("name")
@click.option(
    "--allow",
    "patterns",
    multiple=True,
    metavar="PATTERN",
    help="Names its accounts may order: h, *.h, **.h, CIDR; repeatable. None: whatever the profile permits.",
)
@click.option("--profile", "profiles", multiple=True, help="What they may order by; repeatable. None: all on offer.")
@click.option("--from", "networks", multiple=True, metavar="NETWORK", help="Where from (CIDR); repeatable. None: all.")
@click.option("--life", type=DURATION, default="90d", show_default=True, help="Until when it registers accounts.")
@click.option("--quota", type=click.IntRange(0), default=0, help="Orders a day of all its accounts; 0: no bound.")
@click.option("--accounts", type=click.IntRange(0), default=0, help="How many accounts; 0: no bound, one for a waiver.")
@click.option("--allow-wildcard", is_flag=True, help="They may order wildcard names.")
@click.option(
    "--waive-challenges",
    is_flag=True,
    help="Trusted accounts: names in scope need no proof. Wants --allow, --from, --profile (of at most 7 days) and a "
    "life of at most 90d.",
)
def create(session: Session, name: str, **options: Any) -> None:
    """Makes a credential and prints its HMAC key, once, in ready lines for ACME clients."""
    from acme_server.desk import Desk
    from acme_server.eab import office
    from acme_server.eab.credential import Scope
    from acme_server.eab.snippets import Bound, snippets
    from ca.authority.chain import pem

    scope = Scope(
        name,
        options["patterns"],
        options["profiles"],
        options["networks"],
        options["life"],
        options["quota"],
        options["accounts"],
        options["allow_wildcard"],
        options["waive_challenges"],
    )
    with session.authority() as authority:
        desk = Desk(authority)
        office.demand(desk, scope)
        if session.dry_run:
            answer(session, {"dry_run": True, "name": name}, f"Would make a credential {name}.")
            return
        if scope.waives_challenges:
            session.confirm(
                f"Whoever holds it from {', '.join(scope.networks)} gets certificates without a proof. Go on?"
            )
            session.demand_second(authority)
        credential, key = office.create(desk, scope, operator())
        directory = desk.urls.directory(scope.profiles[0] if scope.profiles else "")
        shape = _shape(credential, authority.clock())
        roots = b"".join(pem(one.certificate) for one in authority.store.issuers() if one.kind == "root")
    ready = snippets(Bound(directory, credential.id, key, roots))
    value = {**shape, "directory": directory, "hmac_key": key, "snippets": ready}
    answer(session, value, lambda: _shown(credential, key, ready))


def _shown(credential: "Credential", key: str, ready: dict[str, str]) -> str:
    head = f"key identifier  {credential.id}\nHMAC key        {key}\n\nThe HMAC key is not shown again."
    return "\n\n".join([head, *(f"{click.style(client, bold=True)}\n{text}" for client, text in ready.items())])


@command()
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many.")
def list_(session: Session, limit: int) -> None:
    """Lists the credentials, the newest first, without their keys."""
    from acme_server.eab.tables import Credentials

    with session.authority() as authority:
        rows = [_shape(one, authority.clock()) for one in Credentials(authority.store).all(limit)]
    head = ("id", "name", "status", "accounts", "patterns", "profiles", "waives_challenges", "expires_at")
    cells = [[" ".join(v) if isinstance(v := row[name], list) else v for name in head] for row in rows]
    answer(session, rows, lambda: table(head, cells, "None. 'certwright acme eab create --help' says how."))


@command(changes=True)
@click.argument("credential")
def revoke(session: Session, credential: str) -> None:
    """Ends a credential for ever, with its accounts, their authorizations and open orders.

    Certificates that they got stay valid.
    """
    from acme_server.desk import Desk
    from acme_server.eab import office
    from acme_server.eab.tables import Credentials

    with session.authority() as authority:
        bound = len(Credentials(authority.store).accounts(Credentials(authority.store).get(credential).id))
        if session.dry_run:
            said = f"Would end credential {credential} and {bound} accounts."
            answer(session, {"dry_run": True, "id": credential, "accounts": bound}, said)
            return
        session.confirm(f"End credential {credential} and {bound} accounts?")
        ended = office.revoke(Desk(authority), credential, operator())
    answer(session, {"id": credential, "status": "revoked", "accounts": ended}, f"ended {credential}, {ended} accounts")


def _shape(one: "Credential", now: int) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "status": one.status(now),
        "accounts": one.accounts,
        "most_accounts": one.most_accounts,
        "patterns": list(one.patterns),
        "profiles": list(one.profiles),
        "networks": list(one.networks),
        "quota": one.quota,
        "allow_wildcard": one.allow_wildcard,
        "waives_challenges": one.waives_challenges,
        "created_by": one.created_by,
        "created_at": rfc3339(one.created_at),
        "expires_at": rfc3339(one.expires_at),
    }
