"""`certwright cert assign|tag`: who answers for certificates, and by what labels they are found."""

from typing import TYPE_CHECKING

import click

from ca.errors import BadRequest
from cli.output import answer
from cli.session import Session, command, operator
from cli.types import find_certificate

if TYPE_CHECKING:
    from ca.authority import Authority
    from ca.records import Certificate

STEP = 500
"""Certificates that change in one transaction."""


@command(changes=True)
@click.argument("certificates", nargs=-1)
@click.option("--from", "giver", default="", help="All that this team owns, instead of naming certificates.")
@click.option("--owner", required=True, help="The team that answers for them from now on.")
def assign(session: Session, certificates: tuple[str, ...], giver: str, owner: str) -> None:
    """Hands certificates over to a team, by serial, SHA-256 or file; or all that a team owns.

    The owner decides which people may revoke them, and who is told of their end. Tokens, credentials and accounts keep
    theirs: what they ask for later is owned as before. Interrupted, it may be run again.
    """
    from ca.authority import owners

    team = owners.parse_team(owner)
    if bool(certificates) == bool(giver):
        raise BadRequest("Name certificates, or --from TEAM.", next_step="Run 'certwright cert assign --help'.")
    with session.authority() as authority:
        chosen = _owned(authority, giver) if giver else [find_certificate(authority, one) for one in certificates]
        due = [one for one in dict.fromkeys(chosen) if one.owner != team]
        if session.dry_run:
            answer(session, {"dry_run": True, "certificates": len(due)}, f"Would hand over {len(due)} to {team}.")
            return
        session.confirm(f"Hand over {len(due)} to {team}?")
        done = sum(owners.assign(authority, due[at : at + STEP], team, operator()) for at in range(0, len(due), STEP))
    answer(session, {"owner": team, "certificates": done}, f"handed over {done} to {team}")


def _owned(authority: "Authority", team: str) -> "list[Certificate]":
    from ca.records import Query
    from cli.cert import found

    return list(found(authority, Query(owner=team), None))


@command(changes=True)
@click.argument("certificates", nargs=-1, required=True)
@click.option("--set", "put", multiple=True, help="A tag, key or key=value, in place of that key's own; repeatable.")
@click.option("--off", multiple=True, help="A key to take off, whatever its value; repeatable.")
def tag(session: Session, certificates: tuple[str, ...], put: tuple[str, ...], off: tuple[str, ...]) -> None:
    """Tags certificates, by serial, SHA-256 or file: labels to find them by; all of them change or none."""
    from ca.authority import tags

    change = tags.parse_change(put, off)
    with session.authority() as authority:
        chosen = [find_certificate(authority, one) for one in certificates]
        if session.dry_run:
            answer(session, {"dry_run": True, "certificates": len(chosen)}, f"Would tag {len(chosen)}.")
            return
        done = tags.retag(authority, chosen, change, operator())
    answer(session, {"changed": done}, f"tagged {done}")
