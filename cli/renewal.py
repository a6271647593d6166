"""`certwright acme renewal`: telling ACME clients to renew early (RFC 9773)."""

from typing import TYPE_CHECKING, Any

import click

from ca.clock import rfc3339
from cli.output import answer, facts
from cli.session import Session, command, operator

if TYPE_CHECKING:
    from acme_server.renewal_info import Call


@command(changes=True)
@click.option("--query", required=True, help="Which certificates, such as 'issuer:issuing-g1 name:*.pay.test'.")
@click.option(
    "--per-second",
    type=click.FloatRange(0),
    default=0.0,
    help="How many this CA issues in a second; 0: as many as in the busiest minute of the last 30 days.",
)
def call(session: Session, query: str, per_second: float) -> None:
    """Has certificates of ACME accounts renewed soon, one after the other, before many of them are revoked.

    Clients that know renewal information look at it once in a while (`acme.renewal_poll`) and renew in their window; no
    more windows open in a second than this CA can issue. `--dry-run` says how many they are and how long it takes.
    """
    import acme_server
    from acme_server import renewal_info
    from acme_server.desk import Desk
    from ca.authority.masses import parse_query

    wanted = parse_query(query)
    with session.authority() as authority:
        desk = Desk(authority)
        serials = tuple(renewal_info.with_clients(desk, wanted))
        plan = renewal_info.plan(desk, len(serials), per_second)
        if session.dry_run:
            answer(session, {"dry_run": True, **_shape(plan)}, lambda: facts(_shape(plan).items()))
            return
        session.confirm(f"Have {plan.count} certificates renewed until {rfc3339(plan.end)}?")
        called = acme_server.call_for_renewal(authority, serials, operator(), per_second)
    answer(session, _shape(called), lambda: facts(_shape(called).items()))


def _shape(one: "Call") -> dict[str, Any]:
    return {
        "certificates": one.count,
        "per_second": one.per_second,
        "begin": rfc3339(one.begin),
        "end": rfc3339(one.end),
    }
