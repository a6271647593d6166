"""The outbox: what people are told, and the certificates that nobody renewed."""

from collections.abc import Iterable

from ca.records import Certificate, Notice
from ca.store.office import Office
from ca.store.tables import CERTIFICATE, NOTICE


class Notices(Office):
    """Once written a notice is sent at least once, by whoever runs the scheduler."""

    def add_notices(self, notices: Iterable[Notice]) -> int:
        """Writes those whose key their channel was not told yet; answers how many."""
        insert = NOTICE.insert((), "ON CONFLICT DO NOTHING")
        with self.transaction():
            return sum(self.change(insert, *NOTICE.encode(one)) for one in notices)

    def due_notices(self, now: int, limit: int) -> tuple[Notice, ...]:
        """Those to be sent, the longest first."""
        return self.select(NOTICE, "WHERE due_at > 0 AND due_at <= ? ORDER BY due_at, id LIMIT ?", now, limit)

    def notices(self, limit: int) -> tuple[Notice, ...]:
        """The newest, sent or not, the newest first."""
        return self.select(NOTICE, "ORDER BY created_at DESC, id DESC LIMIT ?", limit)

    def notice_sent(self, notice_id: str, now: int) -> None:
        """It is through."""
        self.change("UPDATE notice SET sent_at = ?, due_at = 0, trouble = '' WHERE id = ?", now, notice_id)

    def notice_failed(self, notice_id: str, trouble: str, due_at: int) -> None:
        """It is not; it is tried again then, or (0) no more."""
        sql = "UPDATE notice SET failures = failures + 1, trouble = ?, due_at = ? WHERE id = ?"
        self.change(sql, trouble, due_at, notice_id)

    def withdraw_notices(self, lasting: frozenset[str]) -> None:
        """Takes back what was not sent yet and is over: alarms and failures that are none of `lasting`."""
        for notice_id, key in self.rows(_WITHDRAWABLE):
            if key not in lasting:
                self.change("DELETE FROM notice WHERE id = ? AND sent_at = 0", notice_id)

    def drop_notices(self, before: int) -> int:
        """Forgets those that were written before then and are sent or given up."""
        return self.change("DELETE FROM notice WHERE created_at < ? AND due_at = 0", before)

    def unrenewed(self, now: int, within: int, limit: int) -> tuple[Certificate, ...]:
        """Valid certificates in the last quarter of their life with no successor, the first to end first.

        A successor has the same first name, and ends later. Those without an ACME account count only when they end
        `within` so many seconds.
        """
        return self.select(CERTIFICATE, _UNRENEWED, now, now, now + within, limit)


_WITHDRAWABLE = (
    "SELECT id, key FROM notice WHERE due_at > 0 AND failures = 0 AND kind IN ('alarm', 'failed') ORDER BY due_at"
)
_UNRENEWED = (
    "AS c WHERE c.not_after > ? AND c.revoked_at = 0 AND (c.not_after - ?) * 4 < c.not_after - c.not_before "
    "AND (c.account <> '' OR c.not_after <= ?) AND NOT EXISTS (SELECT 1 FROM certificate n "
    "WHERE n.sort_name = c.sort_name AND n.id > c.id AND n.not_after > c.not_after AND n.revoked_at = 0) "
    "ORDER BY c.not_after, c.id LIMIT ?"
)
