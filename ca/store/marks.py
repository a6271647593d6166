"""Which OCSP answers are due to be published, each serial with a generation.

A revocation raises the generation; publishing clears the mark only for the generation that was read before
signing, so nothing that happens while a signature is made is lost.
"""

from ca.records import serial_hex
from ca.store.office import Office
from ca.store.tables import OCSP
from ca.store.values import OcspMark

NEVER = 1 << 62
"""`refresh_at` of an answer that needs no successor, because its certificate has expired by then."""


class Marks(Office):
    """The state of publication of each serial's OCSP answers."""

    def ocsp_mark(self, issuer: str, serial: int) -> OcspMark:
        """The mark of a serial whose intent has ended. Raises `NotFound` for others and for those never answered."""
        tail = "WHERE issuer = ? AND serial = ? AND held = 0"
        return self.first("This serial has no OCSP answers.", OCSP, tail, issuer, serial_hex(serial))

    def ocsp_due(self, now: int, limit: int, issuer: str = "") -> tuple[OcspMark, ...]:
        """Serials whose answers are due: new and revoked ones first. Never one whose intent is open (O-03).

        `issuer` restricts to one, so that another's trouble does not use up the limit.
        """
        own = "AND issuer = ? " if issuer else ""
        tail = f"WHERE held = 0 AND refresh_at <= ? {own}ORDER BY refresh_at LIMIT ?"
        return self.select(OCSP, tail, now, *([issuer] if issuer else []), limit)

    def raise_ocsp(self, issuer: str, serial: int, above: int) -> None:
        """The next answer of a serial is of a generation above that one, if it is not already."""
        key = (issuer, serial_hex(serial))
        self.change(
            "UPDATE ocsp SET generation = ? WHERE issuer = ? AND serial = ? AND generation <= ?", above + 1, *key, above
        )

    def ocsp_published(self, issuer: str, serial: int, generation: int, next_update: int, refresh_at: int) -> None:
        """Clears the mark if its generation is unchanged; an answer that outlives its certificate is the last one."""
        times = (next_update, refresh_at, NEVER, refresh_at)
        self.change(_OCSP_PUBLISHED, generation, *times, issuer, serial_hex(serial), generation)


_OCSP_PUBLISHED = (
    "UPDATE ocsp SET published_generation = ?, next_update = ?, "
    "refresh_at = CASE WHEN ? > not_after THEN ? ELSE ? END "
    "WHERE issuer = ? AND serial = ? AND generation = ?"
)
