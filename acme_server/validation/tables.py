"""The rows of tries: the only module of this room that speaks SQL."""

from acme_server.records import Order
from acme_server.validation.records import Attempt
from ca.store import Shape, Store

ATTEMPT = Shape("acme_attempt", Attempt)


class Attempts:
    """The tries of challenges."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def add(self, attempt: Attempt) -> None:
        """Keeps a try."""
        self.store.insert(ATTEMPT, attempt)

    def by_link(self, link: str) -> Attempt:
        """The try whose URL has the secret of this digest. Raises `NotFound`."""
        return self.store.first("There is no such try.", ATTEMPT, "WHERE link = ? AND link <> ''", link)

    def of(self, order: Order) -> tuple[Attempt, ...]:
        """The tries for an order's authorizations, also those made for an earlier order; the oldest first."""
        tail = (
            "WHERE authorization_id IN (SELECT authorization_id FROM acme_need WHERE order_id = ?) "
            "ORDER BY ended_at, number, id LIMIT 10000"
        )
        return self.store.select(ATTEMPT, tail, order.id)

    def expire(self, now: int) -> int:
        """Forgets what has been kept long enough."""
        return self.store.change("DELETE FROM acme_attempt WHERE expires <= ?", now)
