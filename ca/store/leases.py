"""Leases: one runner at a time, by the database's own clock, each with a fencing token that only rises."""

from ca.errors import LeaseLost
from ca.store.office import Office
from ca.store.tables import LEASE
from ca.store.values import Lease


class Leases(Office):
    """Who may run alone. Two who think they may are told apart by `fence`, at the write that counts."""

    def acquire(self, name: str, holder: str, life: int) -> Lease:
        """Takes a lease that is free, expired, or already this holder's, for `life` seconds, with a new fence.

        Raises `LeaseLost` while another holds it.
        """
        with self.transaction():
            rows = self.rows(_ACQUIRE, name, holder, life, life)
        if not rows:
            raise LeaseLost(f"Another holds the lease {name!r}.", next_step="Nothing to do: this one waits.")
        return LEASE.decode(rows[0])

    def renew(self, lease: Lease) -> Lease:
        """The same lease and fence, for its life from now. Raises `LeaseLost` if another took it meanwhile."""
        with self.transaction():
            rows = self.rows(_RENEW, lease.name, lease.fence)
        return LEASE.decode(rows[0]) if rows else self._lost(lease)

    def release(self, lease: Lease) -> None:
        """Gives it back. Raises `LeaseLost` if it was another's already."""
        sql = "UPDATE lease SET expires_at = 0 WHERE name = ? AND fence = ?"
        if not self.change(sql, lease.name, lease.fence):
            self._lost(lease)

    def check(self, lease: Lease) -> None:
        """Inside a transaction: nobody else can take the lease before it ends. Raises `LeaseLost`."""
        sql = "UPDATE lease SET holder = holder WHERE name = ? AND fence = ? AND expires_at > {now}"
        if not self.change(sql, lease.name, lease.fence):
            self._lost(lease)

    def _lost(self, lease: Lease) -> Lease:
        raise LeaseLost(f"The lease {lease.name!r} has passed to another.", next_step="Stop what runs under it.")


_ACQUIRE = (
    "INSERT INTO lease (name, holder, fence, life, expires_at) VALUES (?, ?, 1, ?, {now} + ?) "
    "ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, fence = lease.fence + 1, "
    "life = excluded.life, expires_at = excluded.expires_at "
    "WHERE lease.expires_at <= {now} OR lease.holder = excluded.holder "
    "RETURNING name, holder, fence, life, expires_at"
)
_RENEW = (
    "UPDATE lease SET expires_at = {now} + life WHERE name = ? AND fence = ? "
    "RETURNING name, holder, fence, life, expires_at"
)
