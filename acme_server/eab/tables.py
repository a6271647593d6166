"""The rows of credentials; the only module of this room that speaks SQL."""

from acme_server.eab.credential import Credential
from acme_server.errors import Unauthorized
from ca.errors import NotFound
from ca.store import Shape, Store

CREDENTIAL = Shape("acme_eab", Credential)


class Credentials:
    """Credentials by their key identifier; their HMAC keys lie here wrapped, and are of no use by themselves."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def add(self, credential: Credential, wrapped: bytes) -> None:
        """A new credential with its wrapped key."""
        self.store.insert(CREDENTIAL, credential, wrapped_key=wrapped)

    def get(self, credential_id: str) -> Credential:
        """Raises `NotFound`."""
        return self.store.first("There is no such credential.", CREDENTIAL, "WHERE id = ?", credential_id)

    def wrapped_key(self, credential_id: str) -> bytes:
        """Raises `NotFound`."""
        found = self.store.rows("SELECT wrapped_key FROM acme_eab WHERE id = ?", credential_id)
        if not found:
            raise NotFound("There is no such credential.")
        return bytes(found[0][0])

    def all(self, limit: int) -> tuple[Credential, ...]:
        """The newest first."""
        return self.store.select(CREDENTIAL, "ORDER BY created_at DESC, id LIMIT ?", limit)

    def bind(self, credential_id: str, now: int) -> None:
        """Counts one account more, inside the open transaction, so that an account which fails costs nothing.

        Raises `Unauthorized` when the credential has ended or has bound all that it may.
        """
        if not self.store.change(_BIND, credential_id, now):
            raise Unauthorized(
                "The external account's credential has ended, or is used up.",
                next_step="Ask an operator: 'certwright acme eab create'.",
            )

    def revoke(self, credential_id: str, now: int) -> bool:
        """Ends it for ever; False when it had ended so already."""
        sql = "UPDATE acme_eab SET revoked_at = ? WHERE id = ? AND revoked_at = 0"
        return self.store.change(sql, now, credential_id) == 1

    def accounts(self, credential_id: str) -> tuple[str, ...]:
        """The ids of the accounts that are bound to it and valid."""
        sql = "SELECT id FROM acme_account WHERE eab = ? AND status = 'valid' ORDER BY id"
        return tuple(str(row[0]) for row in self.store.rows(sql, credential_id))


_BIND = (
    "UPDATE acme_eab SET accounts = accounts + 1 WHERE id = ? AND revoked_at = 0 AND expires_at > ? "
    "AND (most_accounts = 0 OR accounts < most_accounts)"
)
