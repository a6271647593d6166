"""Requests that happen once: the row is written in the transaction that writes the intent (CONTRACT.md)."""

from ca.errors import CAError, IdempotencyInFlight, IdempotencyMismatch, Unavailable
from ca.store.office import Office
from ca.store.values import IdempotencyKey, Replay


class Idempotency(Office):
    """The first outcome of each request that came with an Idempotency-Key."""

    def replay(self, key: IdempotencyKey, body_sha256: str) -> Replay | None:
        """The first outcome of this request; None if it never came before, or came to nothing.

        A request whose intent was withdrawn came to nothing: it is surely not signed, so the same key may ask again.
        Raises `IdempotencyMismatch` for another body, `IdempotencyInFlight` while the first one runs, and
        `Unavailable` when the first one broke off and will never end: the asker needs a new key.
        """
        found = self.rows(_FIND, key.principal, key.method, key.path, key.key)
        if not found:
            return None
        first_body, status, response, intent_state = found[0]
        if first_body != body_sha256:
            raise IdempotencyMismatch(
                "This Idempotency-Key was used with another body.", next_step="Send a new key with a new request."
            )
        if status:
            return Replay(status, response)
        if intent_state == "withdrawn":
            return None
        raise _unfinished(intent_state)

    def idempotency_begin(self, key: IdempotencyKey, body_sha256: str, now: int, *, intent: str = "") -> Replay | None:
        """Claims the key inside the transaction that writes `intent`; None means that it is claimed now.

        Of two requests at once one claims it; the other waits for that transaction and then gets what
        `replay` answers or raises.
        """
        with self.transaction():
            place = (key.principal, key.method, key.path, key.key, body_sha256)
            claimed = self.change(_CLAIM, *place, intent, now) or self.change(_CLAIM_AGAIN, intent, now, *place)
            return None if claimed else self.replay(key, body_sha256)

    def idempotency_finish(self, key: IdempotencyKey, status: int, response: bytes) -> None:
        """Records the outcome; best in the transaction that stores the certificate. A second time changes nothing."""
        self.change(_FINISH, status, response, key.principal, key.method, key.path, key.key)

    def expire_idempotency(self, before: int) -> int:
        """Forgets the keys that were claimed before that time; answers how many."""
        return self.change("DELETE FROM idempotency WHERE created_at < ?", before)


def _unfinished(intent_state: str | None) -> CAError:
    if intent_state == "abandoned":
        return Unavailable(
            "The first request with this Idempotency-Key broke off; no certificate was handed out.",
            next_step="Ask again with a new key.",
        )
    return IdempotencyInFlight(
        "The first request with this Idempotency-Key has not ended yet.", next_step="Ask again in a moment."
    )


_FIND = (
    "SELECT i.body_sha256, i.status, i.response, t.state FROM idempotency i LEFT JOIN intent t ON t.id = i.intent "
    "WHERE i.principal = ? AND i.method = ? AND i.path = ? AND i.key = ?"
)
_CLAIM = (
    "INSERT INTO idempotency (principal, method, path, key, body_sha256, intent, status, response, created_at) "
    "VALUES (?, ?, ?, ?, ?, ?, 0, '', ?) ON CONFLICT DO NOTHING"
)
_CLAIM_AGAIN = (
    "UPDATE idempotency SET intent = ?, created_at = ? "
    "WHERE principal = ? AND method = ? AND path = ? AND key = ? AND body_sha256 = ? AND status = 0 "
    "AND EXISTS (SELECT 1 FROM intent t WHERE t.id = idempotency.intent AND t.state = 'withdrawn')"
)
_FINISH = (
    "UPDATE idempotency SET status = ?, response = ? "
    "WHERE principal = ? AND method = ? AND path = ? AND key = ? AND status = 0"
)
