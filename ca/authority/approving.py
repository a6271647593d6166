"""Four eyes from a seat: what waits, what became of the rest, and deciding."""

from ca.authority import proposals
from ca.authority.desk import Desk
from ca.authority.seat import Seat
from ca.people import Proposal, Right


def every(desk: Desk, seat: Seat) -> tuple[Proposal, ...]:
    """What was proposed, the newest first."""
    seat.demand(Right.SEE_PEOPLE)
    return desk.store.proposals()


def one(desk: Desk, seat: Seat, proposal_id: str) -> Proposal:
    """One proposal. Raises `NotFound`."""
    seat.demand(Right.SEE_PEOPLE)
    return desk.store.proposal(proposal_id)


def waiting(desk: Desk, seat: Seat) -> tuple[Proposal, ...]:
    """What waits for this person's approval, or review; nothing for who may not."""
    if not seat.may(Right.APPROVE):
        return ()
    return tuple(one for one in desk.store.open_proposals(desk.clock()) if not one.is_by(seat.person.id))


def options(desk: Desk, seat: Seat, proposal_id: str) -> str:
    """JSON to approve with, by a passkey."""
    seat.demand(Right.APPROVE)
    return proposals.request_options(desk, seat.person, proposal_id)


def approve(desk: Desk, seat: Seat, proposal_id: str, assertion: str) -> Proposal:
    """Approves and carries out: see `ca.authority.proposals`."""
    seat.demand(Right.APPROVE)
    return proposals.approve(desk, seat.person, seat.sign_in, proposal_id, assertion)


def refuse(desk: Desk, seat: Seat, proposal_id: str) -> None:
    """Refuses a proposal, or takes the own one back. Raises `Denied` for others."""
    seat.demand(Right.SEE_PEOPLE, fresh=True)
    if not desk.store.proposal(proposal_id).is_by(seat.person.id):
        seat.demand(Right.APPROVE)
    proposals.refuse(desk, seat.sign_in, proposal_id)
