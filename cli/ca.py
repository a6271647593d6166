"""`certwright ca`: the hierarchy, and the ceremony that makes it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import shapes
from cli.output import answer, facts, table
from cli.session import Session, command
from cli.types import DURATION

if TYPE_CHECKING:
    from ca.authority import Authority
    from ca.records import Issuer


@command(changes=True)
@click.option(
    "--root-dir",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="The root's own token store and PIN: a folder on a medium that goes offline afterwards.",
)
@click.option(
    "--permit", multiple=True, metavar="NAME", help="Name constraint: a domain or network; else ca.permitted_names."
)
@click.option("--unconstrained", is_flag=True, help="Make an issuing CA that may certify any name.")
@click.option("--life", type=DURATION, help="Life of the issuing CA, such as 1825d; never longer than the root's.")
@click.option("--algorithm", default="ec-p256", show_default=True, help="Key of the issuing CA.")
@click.option("--root-algorithm", default="ec-p384", show_default=True, help="Key of the root.")
@click.option("--organization", default="", help="O= in both subjects.")
@click.option("--owner", default="", help="Who answers for these keys.")
@click.option("--witness", "witnesses", multiple=True, metavar="NAME", help="Who sees it; repeatable.")
@click.option(
    "--attestation", type=click.Path(path_type=Path, exists=True), help="The HSM vendor's statement, as text."
)
@click.option("--transcript", type=click.Path(path_type=Path), help="Where the transcript goes: OUT.json and OUT.txt.")
def init(session: Session, **options: Any) -> None:
    """Holds the ceremony: a root in a token of its own, an issuing CA in the service's, and an OCSP responder.

    The root's token is opened by this process alone; no service ever names it. Without name constraints it
    refuses, unless told --unconstrained. After any error, or a crash, the same command goes on.
    """
    from cli import ceremony

    plan = ceremony.plan(session.config, options)
    if session.dry_run:
        answer(session, {"dry_run": True, **plan.summary()}, lambda: "Would make:\n" + facts(plan.summary().items()))
        return
    session.confirm(f"Make {plan.root.id} and {plan.issuing.id}?")
    made = ceremony.perform(session, plan)
    answer(session, made, lambda: facts(made.items()))


@command()
def list_(session: Session) -> None:
    """Lists the issuers, every generation, and what kind of token protects each key."""
    with session.authority() as authority:
        issuers = authority.store.issuers()
        rows = [_shape(authority, one) for one in issuers]
    head = ("id", "kind", "parent", "state", "algorithm", "token", "not_after")
    cells = [[row[name] or "" for name in head] for row in rows]
    answer(session, rows, lambda: table(head, cells, "There is no CA yet. Run 'certwright ca init'."))


@command()
@click.argument("issuer")
@click.option("--pem", is_flag=True, help="Print the certificate alone.")
def show(session: Session, issuer: str, pem: bool) -> None:
    """Shows one issuer: its certificate, name constraints, key and token."""
    with session.authority() as authority:
        one = authority.store.issuer(issuer)
        shape = _shape(authority, one) | shapes.ca_certificate(one.certificate)
    if pem and not session.json:
        click.echo(shape["pem"], nl=False)
        return
    shown = {name: ", ".join(value) if isinstance(value, list) else value for name, value in shape.items()}
    answer(session, shape, lambda: facts((k, v) for k, v in shown.items() if v and k != "pem"))


def _shape(authority: "Authority", issuer: "Issuer") -> dict[str, Any]:
    open_shards = len(authority.store.open_shards(issuer.id))
    return shapes.issuer(issuer, authority.store.key(issuer.key_id), open_shards)
