"""Public keys that are known to be compromised: whoever has one may be anybody."""

from ca.errors import NotFound
from ca.records import BlockedKey, serial_hex
from ca.store.office import Office
from ca.store.tables import BLOCKED_KEY


class Blocklist(Office):
    """Keys by the SHA-256 (hex) of their SubjectPublicKeyInfo. No clean-up ever touches them."""

    def block(self, key: BlockedKey) -> bool:
        """Blocks a key; False when it was blocked already, and the first reason stays."""
        return self.change(BLOCKED_KEY.insert((), "ON CONFLICT DO NOTHING"), *BLOCKED_KEY.encode(key)) == 1

    def unblock(self, spki_sha256: str) -> None:
        """Takes a key off the list. Raises `NotFound`."""
        if not self.change("DELETE FROM blocked_key WHERE spki_sha256 = ?", spki_sha256):
            raise NotFound("That key is not blocked.", next_step="See 'certwright key blocked'.")

    def is_blocked(self, spki_sha256: str) -> bool:
        """Whether the key may neither hold an account nor be certified."""
        return bool(self.rows("SELECT 1 FROM blocked_key WHERE spki_sha256 = ?", spki_sha256))

    def key_of(self, issuer: str, serial: int) -> str:
        """The SHA-256 (hex) of a certificate's public key; empty for a serial without a certificate in the records."""
        sql = "SELECT spki_sha256 FROM certificate WHERE issuer = ? AND serial = ?"
        found = self.rows(sql, issuer, serial_hex(serial))
        return str(found[0][0]) if found else ""

    def blocked_keys(self, limit: int) -> tuple[BlockedKey, ...]:
        """The newest first."""
        return self.select(BLOCKED_KEY, "ORDER BY blocked_at DESC, spki_sha256 LIMIT ?", limit)
