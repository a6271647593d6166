"""Owners: the team that answers for a certificate, and handing it over to another.

The owner decides who may revoke it and who is told of its end; the journal says from whom to whom it went. A renewal
takes the owner of its token or account, as before.
"""

from collections.abc import Iterable

from ca.authority.desk import Desk
from ca.authority.people import check_teams
from ca.errors import BadRequest
from ca.records import Actor, Certificate, Event, serial_hex


def parse_team(text: str) -> str:
    """The name of a team. Raises `BadRequest` for none, and for what is no name of one."""
    for team in check_teams((text,)):
        return team
    raise BadRequest("A certificate is handed over to somebody.", next_step="Name the team that answers for it.")


def in_order(certificates: Iterable[Certificate]) -> list[Certificate]:
    """Each once, in the order in which everybody locks them, so that no two who change several wait for each other."""
    return sorted(dict.fromkeys(certificates), key=lambda one: (one.issuer, one.serial))


def assign(desk: Desk, certificates: Iterable[Certificate], team: str, actor: Actor) -> int:
    """Makes a team their owner, all or none, each journalled; answers how many were another's.

    Raises `Conflict` when one has changed hands since it was read: who might give it away then may not any more.
    """
    due = [one for one in in_order(certificates) if one.owner != team]
    with desk.store.transaction():
        for one in due:
            desk.store.set_owner(one, team)
            desk.journal.append(
                Event(
                    "certificate.handed-over",
                    actor,
                    f"certificate:{one.issuer}:{serial_hex(one.serial)}",
                    detail={"from": one.owner, "to": team},
                )
            )
    return len(due)
