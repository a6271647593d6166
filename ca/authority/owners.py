"""Owners: the team that answers for a certificate, and handing it over to another.

The owner decides who may revoke it and who is told of its end, so that only those who may keep it hand it over, after a
fresh proof, and the journal says from whom to whom. Nothing in the certificate itself changes, and a renewal takes the
owner of its token or account, as before.
"""

from collections.abc import Iterable, Sequence

from ca.authority.desk import Desk
from ca.authority.people import check_teams
from ca.authority.seat import Seat
from ca.errors import BadRequest, Denied
from ca.people import Right
from ca.records import Actor, Certificate, Event, serial_hex

AT_ONCE = 100
"""Certificates that one person changes in one go."""


def parse_team(text: str) -> str:
    """The name of a team. Raises `BadRequest` for none, and for what is no name of one."""
    for team in check_teams((text,)):
        return team
    raise BadRequest("A certificate is handed over to somebody.", next_step="Name the team that answers for it.")


def may_keep(seat: Seat, certificate: Certificate) -> bool:
    """Any certificate by `keep`, those of the own teams by `keep-own`."""
    return seat.may(Right.KEEP) or (seat.may(Right.KEEP_OWN) and seat.person.owns(certificate.owner))


def kept(desk: Desk, seat: Seat, serials: Sequence[int]) -> list[Certificate]:
    """These certificates, all of which the person may keep. Raises `Denied` for another's, `BadRequest`, `NotFound`."""
    seat.demand(Right.KEEP_OWN)
    serials = tuple(dict.fromkeys(serials))
    if not 0 < len(serials) <= AT_ONCE:
        raise BadRequest(f"One person changes 1 to {AT_ONCE} at once.", next_step="Mark some in the list, not more.")
    chosen = [desk.store.by_serial(serial) for serial in serials]
    for one in chosen:
        if not may_keep(seat, one):
            raise Denied(
                f"{serial_hex(one.serial)} belongs to {one.owner[:100] or 'no team'}, not to a team of "
                f"{seat.person.id}: nothing was changed.",
                next_step="Ask somebody of that team, or a security officer.",
            )
    return chosen


def hand_over(desk: Desk, seat: Seat, serials: Sequence[int], team: str) -> int:
    """Hands them over to a team, all or none; answers how many moved. Raises what `kept` and `assign` raise."""
    seat.demand(Right.KEEP_OWN, fresh=True)
    return assign(desk, kept(desk, seat, serials), parse_team(team), seat.actor)


def assign(desk: Desk, certificates: Iterable[Certificate], team: str, actor: Actor) -> int:
    """Makes a team their owner, all or none, each journalled; answers how many were another's.

    Raises `Conflict` when one has changed hands since it was read: who might give it away then may not any more.
    """
    due = [one for one in certificates if one.owner != team]
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
