"""Tags of certificates: a row for each, found by its key and by the whole of it (`ca.store.search`)."""

from collections.abc import Iterable, Mapping, Sequence

from ca.errors import NotFound
from ca.records import Certificate, serial_hex
from ca.store.office import Office

BATCH = 500


class Tags(Office):
    """What people have labelled certificates with."""

    def tags(self, certificates: Iterable[Certificate]) -> Mapping[int, tuple[str, ...]]:
        """The tags of each by its serial, in order; a certificate without any has no line."""
        serials = [serial_hex(one.serial) for one in certificates]
        found: dict[int, list[str]] = {}
        for start in range(0, len(serials), BATCH):
            some = serials[start : start + BATCH]
            for serial, tag in self.rows(_TAGS.replace("{marks}", ", ".join("?" * len(some))), *some):
                found.setdefault(int(serial, 16), []).append(tag)
        return {serial: tuple(sorted(some)) for serial, some in found.items()}

    def tags_for_change(self, certificate: Certificate) -> tuple[int, tuple[str, ...]]:
        """Its row and its tags, which nobody else changes until the open transaction ends. Raises `NotFound`."""
        sql = "SELECT id FROM certificate WHERE issuer = ? AND serial = ? {for_update}"
        held = self.rows(sql, certificate.issuer, serial_hex(certificate.serial))
        if not held:
            raise NotFound("There is no such certificate.")
        found = self.rows("SELECT tag FROM certificate_tag WHERE certificate = ?", held[0][0])
        return int(held[0][0]), tuple(sorted(str(row[0]) for row in found))

    def change_tags(self, row: int, gone: Sequence[str], new: Sequence[tuple[str, str]]) -> None:
        """Takes tags off a certificate's row, then puts others on, each with its key."""
        for tag in gone:
            self.change("DELETE FROM certificate_tag WHERE certificate = ? AND tag = ?", row, tag)
        for key, tag in new:
            self.change("INSERT INTO certificate_tag (certificate, key, tag) VALUES (?, ?, ?)", row, key, tag)


_TAGS = (
    "SELECT c.serial, t.tag FROM certificate c CROSS JOIN certificate_tag t "
    "WHERE c.serial IN ({marks}) AND t.certificate = c.id"
)
