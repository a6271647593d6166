"""Reports: how many certificates end, were issued or were revoked in a span of days, by owner or by profile."""

from dataclasses import dataclass

from ca.authority.desk import Desk
from ca.errors import BadRequest

DAY = 86400
LONGEST = 366
"""Days that one report looks over."""

MOST = 1000
"""Lines of a report; what is left over is counted in one more."""

KINDS = ("expiring", "issued", "revoked")
GROUPS = ("owner", "profile")


@dataclass(frozen=True, slots=True)
class Summary:
    """`lines` are counts by owner (empty: nobody's) or profile, the largest first; `rest` is in none of them.

    The span is from `start` until before `end`, epoch seconds: ahead of now for `expiring`, else behind it.
    """

    kind: str
    by: str
    start: int
    end: int
    lines: tuple[tuple[str, int], ...]
    rest: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.rest + sum(count for _, count in self.lines)


def summary(desk: Desk, kind: str, by: str, days: int) -> Summary:
    """Counts now. Raises `BadRequest` for a kind, a grouping or a span that there is not."""
    if kind not in KINDS or by not in GROUPS or not 1 <= days <= LONGEST:
        raise BadRequest(
            f"There is no report of {kind!r} by {by!r} over {days} days.",
            next_step=f"Choose {', '.join(KINDS)}; by {' or '.join(GROUPS)}; 1 to {LONGEST} days.",
        )
    now = desk.clock()
    start, end = (now, now + days * DAY) if kind == "expiring" else (now - days * DAY, now + 1)
    counts = desk.store.count_by(kind, by, start, end)
    return Summary(kind, by, start, end, counts[:MOST], sum(count for _, count in counts[MOST:]))
