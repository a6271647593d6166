"""`certwright profile`: the kinds of certificates, and a bench that says which rule decides."""

from pathlib import Path

import click

from cli.output import answer, table
from cli.session import Session, command, operator
from cli.types import DURATION


@command()
def list_(session: Session) -> None:
    """Lists the profiles of the configuration."""
    from ca.profiles import OWN_PROFILE, compile_all

    names = sorted(set(compile_all(session.config)) - {OWN_PROFILE})
    shown = {name: session.config.profiles[name].model_dump(mode="json") for name in names}
    head = ("profile", "usages", "names", "days", "acme")
    rows = [
        (
            name,
            " ".join(one["extended_key_usage"]),
            " ".join(one["name_kinds"]),
            f"{one['validity'] / 86400:g}",
            "yes" if name in session.config.acme.profiles else "",
        )
        for name, one in shown.items()
    ]
    answer(session, shown, lambda: table(head, rows, ""))


@command()
@click.argument("profile")
@click.argument("csr", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--validity", type=DURATION, default=0, help="Its life, such as 30d; the profile's own without it.")
def test(session: Session, profile: str, csr: Path, validity: int) -> None:
    """Says whether a CSR would pass, and when not, which rule refuses it (exit code 4). Nothing is written."""
    from ca.csr import parse
    from ca.profiles import certificate_period
    from ca.records import IssueRequest

    request = parse(csr.read_bytes())
    wanted = IssueRequest(
        request.spki, request.names, profile, operator(), common_name=request.common_name, validity=validity
    )
    with session.authority() as authority:
        kind, issuer, now = authority.profile(profile), authority.active_issuer(), authority.clock()
        authority.policy.permit(wanted, kind, issuer, now)
        seconds = kind.period(wanted, now, certificate_period(issuer.certificate)).seconds
    names = [name.value for name in request.names]
    text = f"would pass: {', '.join(names)} by {issuer.id}, {seconds / 86400:g} days"
    answer(session, {"passes": True, "names": names, "issuer": issuer.id, "seconds": seconds}, text)
