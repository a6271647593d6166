"""`certwright token`: bearer tokens of the CSR API."""

import click

from cli import shapes
from cli.output import answer, table
from cli.session import Session, command, operator
from cli.types import DURATION


@command(changes=True, eyes=True)
@click.argument("name")
@click.option("--profile", "profiles", multiple=True, required=True, help="What it may ask for; repeatable.")
@click.option(
    "--allow",
    "patterns",
    multiple=True,
    required=True,
    metavar="PATTERN",
    help="Names it may ask for: h, *.h, **.h, CIDR, spiffe://…; repeatable.",
)
@click.option("--life", type=DURATION, default="90d", show_default=True, help="At most 90d.")
@click.option("--owner", default="", help="Who answers for it.")
@click.option("--allow-wildcard", is_flag=True, help="It may ask for wildcard names.")
def create(  # noqa: PLR0913 - one argument an option
    session: Session,
    name: str,
    profiles: tuple[str, ...],
    patterns: tuple[str, ...],
    life: int,
    owner: str,
    allow_wildcard: bool,
) -> None:
    """Makes a token that issues what its scope covers, and prints its secret: once, and never again."""
    from ca.authority.tokens import TokenScope, create_token

    scope = TokenScope(name, profiles, patterns, life, owner, allow_wildcard)
    if session.dry_run:
        answer(session, {"dry_run": True, "name": name}, f"Would make a token {name} for {', '.join(patterns)}.")
        return
    with session.authority() as authority:
        if scope.is_wide:
            session.demand_second(authority)
        token, secret = create_token(authority, scope, operator())
        shape = shapes.api_token(token, authority.clock())
    if session.json:
        answer(session, {**shape, "secret": secret}, "")
        return
    click.echo(secret)
    if not session.quiet:
        click.echo(
            f"token {token.id}, until {shape['expires_at']}. Keep the line above: it is not shown again.", err=True
        )


@command()
def list_(session: Session) -> None:
    """Lists the tokens, without their secrets."""
    with session.authority() as authority:
        rows = [shapes.api_token(one, authority.clock()) for one in authority.store.tokens()]
    head = ("id", "name", "status", "profiles", "patterns", "expires_at")
    cells = [[" ".join(v) if isinstance(v := row[name], list) else v for name in head] for row in rows]
    answer(session, rows, lambda: table(head, cells, "No tokens. 'certwright token create --help' says how."))


@command(changes=True)
@click.argument("token")
def revoke(session: Session, token: str) -> None:
    """Ends a token at once and for ever; what it issued stays valid."""
    from ca.authority.tokens import revoke_token

    if session.dry_run:
        answer(session, {"dry_run": True, "id": token}, f"Would end token {token}.")
        return
    session.confirm(f"End token {token}?")
    with session.authority() as authority:
        revoke_token(authority, token, operator())
    answer(session, {"id": token, "status": "revoked"}, f"ended {token}")
