"""What a restored database is told about the time that it does not remember."""

from ca.records import Intent, serial_hex
from ca.store.office import Office
from ca.store.tables import INTENT

GENERATIONS = 64
"""More than a serial's answers can have been raised since any backup: each is a revocation or its upgrade."""

PUBLICATIONS = 1 << 32
"""More than can have been published since any backup."""


class Recovery(Office):
    """Numbers only rise, and what was signed is known again. Each may be done twice."""

    def adopt(self, intent: Intent, *, answered: bool) -> bool:
        """Makes an intent that the signer's ledger tells of known as imported; False for one that had its end here."""
        with self.transaction():
            serial = serial_hex(intent.serial)
            found = self.rows("SELECT state FROM intent WHERE issuer = ? AND serial = ?", intent.issuer, serial)
            if not found:
                self.insert(INTENT, intent)
            elif found[0][0] == "open":
                self.change(
                    "UPDATE intent SET state = 'imported' WHERE issuer = ? AND serial = ?", intent.issuer, serial
                )
            else:
                return False
            if answered:
                self.change(_ANSWER, intent.issuer, serial, intent.not_after)
            return True

    def imported(self, limit: int = 1000) -> tuple[Intent, ...]:
        """Certificates that are known by what was signed alone, the newest first."""
        return self.select(INTENT, "WHERE state = 'imported' ORDER BY created_at DESC, id LIMIT ?", limit)

    def end_all_sign_ins(self, at: int) -> None:
        """Ends every sign-in and uses up every link: which of them ended since is not known any more."""
        self.change("UPDATE sign_in SET ended_at = ? WHERE ended_at = 0", at)
        self.change("UPDATE sign_in_link SET used_at = ? WHERE used_at = 0", at)

    def raise_answers(self) -> None:
        """Has every answer about a revoked serial replace whatever was published about it anywhere."""
        self.change(_RAISE_ANSWERS, GENERATIONS)

    def leap_publications(self) -> None:
        """Gives later publications places that no folder has been fed with yet."""
        self.change("UPDATE counter SET value = value + ? WHERE name = 'publication'", PUBLICATIONS)


_ANSWER = (
    "INSERT INTO ocsp (issuer, serial, generation, published_generation, refresh_at, next_update, not_after, held) "
    "VALUES (?, ?, 1, 0, 0, 0, ?, 0) ON CONFLICT (issuer, serial) DO UPDATE SET held = 0, refresh_at = 0"
)
_RAISE_ANSWERS = (
    "UPDATE ocsp SET generation = generation + ?, refresh_at = 0 "
    "WHERE EXISTS (SELECT 1 FROM revocation r WHERE r.issuer = ocsp.issuer AND r.serial = ocsp.serial)"
)
