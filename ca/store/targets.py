"""How far each publication target is: a cursor over the publication rows, and what went wrong."""

from ca.store.office import Office
from ca.store.tables import TARGET
from ca.store.values import TargetState


class Targets(Office):
    """One row a target; of a folder, one for each node that writes it."""

    def target(self, name: str) -> TargetState:
        """The state of a target; one that was never fed is at the beginning."""
        found = self.select(TARGET, "WHERE name = ?", name)
        return found[0] if found else TargetState(name)

    def target_states(self) -> tuple[TargetState, ...]:
        """The state of every target that was ever fed."""
        return self.select(TARGET, "ORDER BY name")

    def begin_target(self, name: str, now: int) -> None:
        """It lacks something, if that is not known yet."""
        self.change(_BEGIN, *TARGET.encode(TargetState(name, behind_since=now)))

    def move_target(self, name: str, before: int, after: int, now: int) -> bool:
        """Every row up to `after` is there; it lacks nothing if that is the last.

        Answers False, and changes nothing, unless the cursor stands at `before`.
        """
        return bool(self.change(_MOVE, after, now, after, name, before))

    def rewind_target(self, name: str, seq: int = 0) -> None:
        """Has the rows after that one sent again, at once."""
        self.change("UPDATE target SET seq = ?, due_at = 0 WHERE name = ? AND seq >= ?", seq, name, seq)

    def target_failed(self, name: str, trouble: str, due_at: int) -> None:
        """It took nothing more, and is tried again at that time."""
        sql = "UPDATE target SET failures = failures + 1, trouble = ?, due_at = ? WHERE name = ?"
        self.change(sql, trouble, due_at, name)


_BEGIN = TARGET.insert(
    (),
    "ON CONFLICT (name) DO UPDATE SET behind_since = excluded.behind_since WHERE target.behind_since = 0",
)
_MOVE = (
    "UPDATE target SET seq = ?, reached_at = ?, failures = 0, trouble = '', due_at = 0, "
    "behind_since = CASE WHEN (SELECT value FROM counter WHERE name = 'publication') <= ? THEN 0 ELSE behind_since END "
    "WHERE name = ? AND seq = ?"
)
