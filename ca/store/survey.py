"""Counting: what the first page and reports say of all certificates and of the journal's last days.

Each walks an index from end to end, which takes a moment at a million: `ca.authority.survey` keeps the result.
"""

from dataclasses import dataclass

from ca.store.office import Office

_LAST = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Published:
    """One publication; times are epoch seconds."""

    path: str
    octets: int
    this_update: int
    fresh_until: int


class Surveys(Office):
    """Counts over everything. Times are epoch seconds, days counted from a first second."""

    def size(self) -> int:
        """About how many certificates and journal entries there are, by their highest ids: two look-ups."""
        highest = self.rows("SELECT (SELECT max(id) FROM certificate), (SELECT max(id) FROM event)")[0]
        return sum(int(one or 0) for one in highest)

    def count_expiring(self, start: int, days: int) -> dict[int, int]:
        """Unrevoked certificates by the day on which they end, counted from `start`; days without any are left out."""
        return {int(day): int(count) for day, count in self.rows(_EXPIRING, start, start, start + days * 86400)}

    def count_unrevoked(self, now: int) -> tuple[int, int]:
        """How many are valid now, and how many have ended without being revoked."""
        valid = self.rows("SELECT count(*) FROM certificate WHERE not_after >= ? AND revoked_at = 0", now)[0][0]
        ended = self.rows("SELECT count(*) FROM certificate WHERE not_after < ? AND revoked_at = 0", now)[0][0]
        return int(valid), int(ended)

    def count_revoked(self) -> int:
        """How many were revoked, ever."""
        return int(self.rows("SELECT count(*) FROM certificate WHERE revoked_at > 0")[0][0])

    def published(self, prefix: str) -> tuple[Published, ...]:
        """What is published below a path, by path, without its bytes."""
        return tuple(Published(*row) for row in self.rows(_PUBLISHED, prefix, prefix + _LAST))

    def count_late(self, before: int, most: int) -> int:
        """OCSP answers that are due since `before`, counted up to `most`."""
        return int(self.rows(_LATE, before, most)[0][0])

    def count_stale(self) -> int:
        """CRLs with revocations that are not published yet."""
        return int(self.rows("SELECT count(*) FROM shard WHERE generation > published_generation")[0][0])

    def count_by(self, kind: str, column: str, start: int, end: int) -> tuple[tuple[str, int], ...]:
        """Certificates of a kind in a span by `owner` or `profile`, the largest first.

        `kind` is expiring (unrevoked, by their end), issued or revoked, by when they were. Raises `KeyError` for
        another kind or column.
        """
        sql = f"SELECT {_COLUMNS[column]}, count(*) FROM certificate WHERE {_SPANS[kind]} GROUP BY 1 ORDER BY 2 DESC, 1"  # noqa: S608 - own words
        return tuple((str(name), int(count)) for name, count in self.rows(sql, start, end))

    def count_events(self, start: int, actions: tuple[str, ...]) -> dict[tuple[str, int], int]:
        """Journal entries of these actions since `start`, by action and day counted from it."""
        marks = ", ".join("?" * len(actions))
        sql = _EVENTS.replace("{actions}", marks)
        return {(str(name), int(day)): int(count) for name, day, count in self.rows(sql, start, start, *actions)}


_COLUMNS = {"owner": "owner", "profile": "profile"}
_SPANS = {
    "expiring": "not_after >= ? AND not_after < ? AND revoked_at = 0",
    "issued": "issued_at >= ? AND issued_at < ?",
    "revoked": "revoked_at > 0 AND revoked_at >= ? AND revoked_at < ?",
}
_EXPIRING = (
    "SELECT (not_after - ?) / 86400 AS day, count(*) FROM certificate "
    "WHERE not_after >= ? AND not_after < ? AND revoked_at = 0 GROUP BY 1"
)
_EVENTS = (
    "SELECT action, (time - ?) / 86400 AS day, count(*) FROM event "
    "WHERE time >= ? AND action IN ({actions}) GROUP BY 1, 2"
)
_PUBLISHED = (
    "SELECT path, length(body), this_update, fresh_until FROM publication WHERE path >= ? AND path < ? "
    "ORDER BY path LIMIT 500"
)
_LATE = "SELECT count(*) FROM (SELECT 1 FROM ocsp WHERE held = 0 AND refresh_at <= ? LIMIT ?) late"
