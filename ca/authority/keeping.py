"""Keeping certificates: what the people who answer for them change about them, and nothing in them.

Whoever may keep a certificate tags it, or hands it over to another team: any by `keep`, those of the own teams by
`keep-own`. Several change together or not at all.
"""

from collections.abc import Iterable, Mapping, Sequence

from ca.authority import owners, tags
from ca.authority.desk import Desk
from ca.authority.seat import Seat
from ca.errors import BadRequest, Denied
from ca.people import Right
from ca.records import Certificate, serial_hex

AT_ONCE = 100
"""Certificates that one person changes in one go."""


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


def tags_of(desk: Desk, seat: Seat, certificates: Iterable[Certificate]) -> Mapping[int, tuple[str, ...]]:
    """The tags of each by its serial; a certificate without any has no line."""
    seat.demand(Right.SEE)
    return desk.store.tags(certificates)


def hand_over(desk: Desk, seat: Seat, serials: Sequence[int], team: str) -> int:
    """Hands them over to a team; answers how many moved. Raises what `kept` and `owners.assign` raise."""
    seat.demand(Right.KEEP_OWN, fresh=True)
    return owners.assign(desk, kept(desk, seat, serials), owners.parse_team(team), seat.actor)


def tag(desk: Desk, seat: Seat, serials: Sequence[int], change: tags.Change) -> int:
    """Tags them; answers how many changed. Raises what `kept` and `tags.retag` raise."""
    return tags.retag(desk, kept(desk, seat, serials), change, seat.actor)
