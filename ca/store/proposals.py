"""Proposals and what became of them. What was proposed never changes; it is decided once."""

from ca.people import Proposal
from ca.store.office import Office
from ca.store.tables import PROPOSAL


class Proposals(Office):
    """Deeds that wait for a second person."""

    def add_proposal(self, proposal: Proposal) -> None:
        """Records a new one."""
        self.insert(PROPOSAL, proposal)

    def proposal(self, proposal_id: str) -> Proposal:
        """The proposal of that id. Raises `NotFound`."""
        return self.first(f"There is no proposal {proposal_id[:40]!r}.", PROPOSAL, "WHERE id = ?", proposal_id)

    def proposals(self, limit: int = 100) -> tuple[Proposal, ...]:
        """The newest first."""
        return self.select(PROPOSAL, "ORDER BY proposed_at DESC, id LIMIT ?", limit)

    def open_proposals(self, now: int) -> tuple[Proposal, ...]:
        """Those that may still be decided, and what was done alone and waits for a review; the oldest first."""
        tail = "WHERE (state = 'open' AND expires_at > ?) OR state = 'emergency' ORDER BY proposed_at, id LIMIT 100"
        return self.select(PROPOSAL, tail, now)

    def decide(self, proposal: Proposal, state: str, by: str, now: int, assertion: str) -> bool:
        """Whether it stood as it was read, and in its time; of two deciders at once one wins."""
        return bool(self.change(_DECIDE, state, by, now, assertion, proposal.id, proposal.state, now))

    def undone_proposals(self, by: str, now: int) -> tuple[Proposal, ...]:
        """Those of that proposer that are open or approved, and in their time."""
        tail = (
            "WHERE proposed_by = ? AND state IN ('open', 'approved') AND expires_at > ? ORDER BY proposed_at LIMIT 100"
        )
        return self.select(PROPOSAL, tail, by, now)

    def end_proposal(self, proposal: Proposal, state: str, outcome: str) -> bool:
        """Notes what came of one that is carried out, unless another has: then it answers false."""
        sql = "UPDATE proposal SET state = ?, outcome = ? WHERE id = ? AND state = ? AND outcome = ''"
        return bool(self.change(sql, state, outcome, proposal.id, proposal.state))


_DECIDE = (
    "UPDATE proposal SET state = ?, decided_by = ?, decided_at = ?, assertion = ? "
    "WHERE id = ? AND state = ? AND ((state = 'open' AND expires_at > ?) OR state = 'emergency')"
)
