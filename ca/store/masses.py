"""Revocations of many certificates: what is asked for, and how far it has come."""

from ca.errors import Conflict
from ca.records import MassRevocation
from ca.store.office import Office
from ca.store.tables import MASS_REVOCATION


class Masses(Office):
    """One row for each; it moves with the deeds, in their transaction."""

    def add_mass(self, mass: MassRevocation) -> None:
        """Records a new one."""
        self.insert(MASS_REVOCATION, mass)

    def mass(self, mass_id: str) -> MassRevocation:
        """One of them. Raises `NotFound`."""
        return self.first(f"There is no mass revocation {mass_id!r}.", MASS_REVOCATION, "WHERE id = ?", mass_id)

    def masses(self, limit: int = 100) -> tuple[MassRevocation, ...]:
        """All of them, the newest first."""
        return self.select(MASS_REVOCATION, "ORDER BY created_at DESC, id LIMIT ?", limit)

    def running_masses(self, before: int) -> tuple[MassRevocation, ...]:
        """Those that are not at their end and have not moved since that time, the oldest first."""
        tail = "WHERE state = 'running' AND updated_at <= ? ORDER BY created_at, id"
        return self.select(MASS_REVOCATION, tail, before)

    def move_mass(self, before: MassRevocation, after: MassRevocation) -> None:
        """Inside the transaction of its deeds: from one place to the next. Raises `Conflict` if it has moved since."""
        values = (after.state, after.revoked, after.skipped, after.updated_at, after.cursor)
        if not self.change(_MOVE, *values, before.id, before.state, before.cursor, before.revoked + before.skipped):
            raise Conflict("This mass revocation is under way elsewhere.", next_step="Nothing to do: look again.")


_MOVE = (
    "UPDATE mass_revocation SET state = ?, revoked = ?, skipped = ?, updated_at = ?, cursor = ? "
    "WHERE id = ? AND state = ? AND cursor = ? AND revoked + skipped = ?"
)
