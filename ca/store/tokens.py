"""API tokens, by the SHA-256 of their secret; the secret itself is stored nowhere."""

from ca.errors import NotFound
from ca.records import ApiToken
from ca.store.office import Office
from ca.store.tables import API_TOKEN

USED_EVERY = 60
"""Seconds between two notes that a token was used: a busy token must not write with each request."""


class Tokens(Office):
    """The bearer tokens of the CSR API."""

    def add_token(self, token: ApiToken, sha256: str) -> None:
        """Records a new token with the SHA-256 (hex) of its secret. Raises `Conflict` if either exists."""
        self.insert(API_TOKEN, token, sha256=sha256)

    def token_by_digest(self, sha256: str) -> ApiToken:
        """The token of a secret's SHA-256 (hex), also when revoked or expired. Raises `NotFound`."""
        return self.first("There is no such token.", API_TOKEN, "WHERE sha256 = ?", sha256)

    def token(self, token_id: str) -> ApiToken:
        """The token of that id. Raises `NotFound`."""
        return self.first(f"There is no token {token_id!r}.", API_TOKEN, "WHERE id = ?", token_id)

    def tokens(self) -> tuple[ApiToken, ...]:
        """Every token that ever was, the newest first."""
        return self.select(API_TOKEN, "ORDER BY created_at DESC, id")

    def revoke_token(self, token_id: str, now: int) -> None:
        """Ends a token; a second time keeps the first time. Raises `NotFound`."""
        sql = "UPDATE api_token SET revoked_at = CASE WHEN revoked_at = 0 THEN ? ELSE revoked_at END WHERE id = ?"
        if not self.change(sql, now, token_id):
            raise NotFound(f"There is no token {token_id!r}.", next_step="See 'certwright token list'.")

    def token_used(self, token_id: str, now: int) -> None:
        """Notes the time of use, at most once in `USED_EVERY` seconds."""
        sql = "UPDATE api_token SET last_used = ? WHERE id = ? AND last_used <= ?"
        if self.rows("SELECT 1 FROM api_token WHERE id = ? AND last_used <= ?", token_id, now - USED_EVERY):
            self.change(sql, now, token_id, now - USED_EVERY)
