"""The rows of orders that renew themselves: how far each is. What they ask for stands in the order."""

from dataclasses import dataclass

from ca.store import Shape, Store


@dataclass(frozen=True, slots=True)
class Course:
    """An order with auto-renewal since its first certificate, which is number 0 and was due at `first`.

    `due_at` is when the next one has to be made, or while one is under way (`intent`), when it is taken for broken
    off; 0 when none will be made any more.
    """

    order_id: str
    first: int
    number: int
    due_at: int
    intent: str = ""


COURSE = Shape("acme_star", Course)


class Courses:
    """Each change says whether it happened, as in `acme_server.tables`; the order's row is always taken first."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def begin(self, course: Course, end: int) -> None:
        """Notes the first certificate; the order lasts until the end of its terms."""
        self.store.change("UPDATE acme_order SET expires = ? WHERE id = ?", end, course.order_id)
        self.store.insert(COURSE, course)

    def get(self, order_id: str) -> Course:
        """Raises `NotFound`."""
        return self.store.first("There is no certificate yet.", COURSE, "WHERE order_id = ?", order_id)

    def renews(self, order_id: str) -> bool:
        """Whether this is an order that renews itself, or did."""
        return bool(self.store.rows("SELECT 1 FROM acme_star WHERE order_id = ?", order_id))

    def due(self, now: int, limit: int) -> tuple[Course, ...]:
        """Those for which something is to be done, the longest first."""
        return self.store.select(
            COURSE, "WHERE due_at > 0 AND due_at <= ? ORDER BY due_at, order_id LIMIT ?", now, limit
        )

    def running(self, account_id: str) -> tuple[str, ...]:
        """The orders of an account that renew themselves."""
        return tuple(row[0] for row in self.store.rows(_RUNNING, account_id))

    def claim(self, course: Course, intent: str, due_at: int) -> bool:
        """Begins the next certificate, for whoever is the first."""
        return self.store.change(_CLAIM, intent, due_at, course.order_id, course.number) == 1

    def bind(self, course: Course, intent: str, serial: str, due_at: int) -> bool:
        """The certificate of this intent is the order's from now on, as number `course.number`."""
        order = "UPDATE acme_order SET certificate = ? WHERE id = ? AND status = 'valid'"
        sql = "UPDATE acme_star SET number = ?, intent = '', due_at = ? WHERE order_id = ? AND intent = ?"
        return (
            self.store.change(order, serial, course.order_id) == 1
            and self.store.change(sql, course.number, due_at, course.order_id, intent) == 1
        )

    def again(self, order_id: str, intent: str, due_at: int) -> bool:
        """Takes back an issuance that brought nothing: the next try is due then, 0 for none."""
        sql = "UPDATE acme_star SET intent = '', due_at = ? WHERE order_id = ? AND intent = ? AND due_at > 0"
        return self.store.change(sql, due_at, order_id, intent) == 1

    def cancel(self, order_id: str, now: int, error: str = "") -> bool:
        """`valid` → `canceled`, for ever."""
        order = "UPDATE acme_order SET status = 'canceled', expires = ?, error = ? WHERE id = ? AND status = 'valid'"
        if self.store.change(order, now, error, order_id) != 1:
            return False
        return self.store.change("UPDATE acme_star SET intent = '', due_at = 0 WHERE order_id = ?", order_id) == 1


_RUNNING = (
    "SELECT s.order_id FROM acme_star s JOIN acme_order o ON o.id = s.order_id "
    "WHERE o.account = ? AND o.status = 'valid' AND s.due_at > 0"
)
_CLAIM = (
    "UPDATE acme_star SET intent = ?, due_at = ? "
    "WHERE order_id = ? AND number = ? AND intent = '' AND due_at > 0 "
    "AND EXISTS (SELECT 1 FROM acme_order o WHERE o.id = acme_star.order_id AND o.status = 'valid')"
)
