"""`certwright ca`: the hierarchy, and the ceremony that makes it."""

from collections.abc import Callable
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

Decorated = Callable[[Callable[..., Any]], Callable[..., Any]]

ROOT_DIR = "The root's own token store and PIN: a folder on a medium that goes offline afterwards."

ENDS = ("cACompromise", "superseded", "cessationOfOperation", "affiliationChanged", "unspecified")
"""Reasons for which a CA is revoked (RFC 5280 §5.3.1)."""

ROOT = click.option("--root", default="", metavar="ISSUER", help="Which root signs (default: that of ca.issuer).")

WITNESSED: tuple[Decorated, ...] = (
    click.option("--witness", "witnesses", multiple=True, metavar="NAME", help="Who sees it; repeatable."),
    click.option(
        "--attestation", type=click.Path(path_type=Path, exists=True), help="The HSM vendor's statement, as text."
    ),
    click.option(
        "--transcript", type=click.Path(path_type=Path), help="Where the transcript goes: OUT.json and OUT.txt."
    ),
)
"""The options of every ceremony."""

MAKING: tuple[Decorated, ...] = (
    click.option(
        "--permit", multiple=True, metavar="NAME", help="Name constraint: a domain or network; else ca.permitted_names."
    ),
    click.option("--unconstrained", is_flag=True, help="Make an issuing CA that may certify any name."),
    click.option("--life", type=DURATION, help="Life of the issuing CA, such as 1825d; never longer than the root's."),
    click.option("--owner", default="", help="Who answers for these keys."),
    *WITNESSED,
)
"""The options of those that make an issuing CA."""


def _with(options: tuple[Decorated, ...]) -> Decorated:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


@command(changes=True)
@click.option("--root-dir", type=click.Path(path_type=Path, file_okay=False), required=True, help=ROOT_DIR)
@_with(MAKING)
@click.option("--algorithm", default="ec-p256", show_default=True, help="Key of the issuing CA.")
@click.option("--root-algorithm", default="ec-p384", show_default=True, help="Key of the root.")
@click.option("--organization", default="", help="O= in both subjects.")
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


@command(changes=True, eyes=True)
@click.argument("name", required=False)
@click.option("--root-dir", type=click.Path(path_type=Path, file_okay=False), help=ROOT_DIR)
@_with(MAKING)
@click.option("--algorithm", default="", help="Key of the new generation (default: as the one before).")
@click.option(
    "--later", is_flag=True, help="Make and publish it only: without this, the same command has it take over."
)
def rotate(session: Session, name: str | None, later: bool, **options: Any) -> None:
    """Makes the next generation of the issuing CA NAME (default: ca.issuer), which takes over from the present one.

    Its key is made in the HSM and certified by the root, at a ceremony as by 'ca init'; its CRLs are published; then
    issuance goes over, and the old generation retires: it issues no more, and its CRLs and OCSP answers go on until its
    last certificate has ended. After any error, or a crash, the same command goes on.
    """
    from cli import rotation

    if not session.dry_run and (finished := rotation.finish(session))["finished"]:
        keys = ", ".join(finished["finished"])
        answer(session, finished, f"finished an earlier rotation: {keys} is out of use. Type it again to rotate anew.")
        return
    with session.authority() as authority:
        step = rotation.next_step(authority, name or session.config.ca.issuer, options)
        shown = step.summary()
        if session.dry_run:
            answer(session, {"dry_run": True, **shown}, lambda: "Would do:\n" + facts(shown.items()))
            return
        session.confirm(f"Make {step.new}?" if later else f"Have {step.new} take over from {step.old.id}?")
        session.demand_second(authority)
    made = rotation.perform(session, step, later=later)
    answer(session, made, lambda: facts((k, ", ".join(v) if isinstance(v, list) else v) for k, v in made.items()))


@command(changes=True, eyes=True)
@click.option("--root-dir", type=click.Path(path_type=Path, file_okay=False), required=True, help=ROOT_DIR)
@ROOT
@click.option(
    "--revoke", metavar="ISSUER", help="What ends now: an issuing CA that has a successor, or a cross certificate."
)
@click.option("--reason", type=click.Choice(ENDS), help="Why it is revoked.")
@_with(WITNESSED)
def ceremony(session: Session, **options: Any) -> None:
    """Holds a later ceremony of the root: signs its next CRLs and their spares, and revokes a CA that it certified.

    The first CRL is published at once, in place of the present one, and so are the spares when their time comes. It
    needs the root's medium and no signer.
    """
    from cli import lists

    with session.authority() as authority:
        plan = lists.plan(authority, options)
        shown = plan.summary()
        if session.dry_run:
            answer(session, {"dry_run": True, **shown}, lambda: "Would sign:\n" + facts(shown.items()))
            return
        ends = f" and revoke {plan.end.issuer} for ever" if plan.end else ""
        session.confirm(f"Sign {plan.root.spares + 1} CRLs of {plan.root.id}{ends}?")
        session.demand_second(authority)
        made = lists.perform(authority, plan, options)
    answer(session, made, lambda: facts(made.items()))


@command(changes=True, eyes=True)
@click.argument("subject", metavar="CA")
@click.option("--root-dir", type=click.Path(path_type=Path, file_okay=False), required=True, help=ROOT_DIR)
@ROOT
@click.option("--id", "cross_id", default="", help="Id of the new certificate (default for a CA of ours: CA-by-ROOT).")
@click.option("--csr", type=click.Path(path_type=Path, exists=True), help="Proof that the CA has its key: its own CSR.")
@click.option("--permit", multiple=True, metavar="NAME", help="Name constraint, inside the CA's own; repeatable.")
@click.option("--unconstrained", is_flag=True, help="Certify a CA without name constraints as it is.")
@click.option("--path-length", type=click.IntRange(min=0), help="How many CAs may follow below; at most as now.")
@click.option("--life", type=DURATION, default="1825d", show_default=True, help="Never longer than either CA's.")
@_with(WITNESSED)
def cross_sign(session: Session, **options: Any) -> None:
    """Has a root certify the key of another CA: an id of 'ca list', or the file of a foreign one's certificate.

    Who trusts this root alone then accepts what that CA certifies, with the new certificate in the chain. A CA without
    name constraints gets those of --permit, or of ca.permitted_names. It needs the root's medium and no signer, and
    'ca ceremony --revoke' takes it back. After any error, or a crash, the same command goes on.
    """
    from cli import cross

    with session.authority() as authority:
        plan = cross.plan(authority, options)
        shown = plan.summary()
        if session.dry_run:
            answer(session, {"dry_run": True, **shown}, lambda: "Would certify:\n" + facts(shown.items()))
            return
        session.confirm(f"Have {plan.root.id} certify {shown['subject']}?")
        session.demand_second(authority, **{name: shown[name] for name in ("root", "sha256", "permitted")})
        made = cross.perform(authority, plan, options)
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
    key = authority.store.key(issuer.key_id) if issuer.key_id else None
    return shapes.issuer(issuer, key, open_shards)
