"""Looking certificates up: one by its identity, or page after page by what people know of them."""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from ca.errors import BadRequest
from ca.records import Certificate, Page, Query, serial_hex
from ca.store.office import Office
from ca.store.tables import CERTIFICATE

T = TypeVar("T")
Condition = tuple[str, tuple[object, ...]]

_ORDERS: Mapping[str, tuple[str, str]] = {
    "issued": ("issued_at", "DESC"),
    "expiry": ("not_after", "ASC"),
    "name": ("sort_name", "ASC"),
}
_STATUSES: Mapping[str, tuple[str, Callable[[Query, int], tuple[object, ...]]]] = {
    "valid": ("revoked_at = 0 AND not_after >= ?", lambda query, now: (now,)),
    "expired": ("revoked_at = 0 AND not_after < ?", lambda query, now: (now,)),
    "revoked": ("revoked_at > 0", lambda query, now: ()),
    "expiring": (
        "revoked_at = 0 AND not_after >= ? AND not_after < ?",
        lambda query, now: (now, now + query.expiring_within),
    ),
}
# The second half of each condition lets the partial index serve it.
_EXACT: Mapping[str, str] = {
    "profile": "profile = ?",
    "issuer": "issuer = ?",
    "owner": "owner = ? AND owner <> ''",
    "account": "account = ? AND account <> ''",
    "token": "token = ? AND token <> ''",
}
_LAST = "\U0010ffff"


class Certificates(Office):
    """The certificates that were issued; nothing here changes one."""

    def certificate(self, issuer: str, serial: int) -> Certificate:
        """The certificate of an issuer and serial. Raises `NotFound`."""
        return self._certificate("WHERE issuer = ? AND serial = ?", issuer, serial_hex(serial))

    def by_serial(self, serial: int) -> Certificate:
        """The certificate of a serial, whichever issuer's: 128 random bits are unique. Raises `NotFound`."""
        return self._certificate("WHERE serial = ? ORDER BY id DESC LIMIT 1", serial_hex(serial))

    def by_sha256(self, sha256: str) -> Certificate:
        """The certificate whose DER has this SHA-256 (hex). Raises `NotFound`."""
        return self._certificate("WHERE sha256 = ?", sha256.lower())

    def by_public_key(self, spki_sha256: str, limit: int = 1000) -> tuple[Certificate, ...]:
        """Every certificate for a public key, by the SHA-256 (hex) of its SPKI; the newest first."""
        return self.select(CERTIFICATE, "WHERE spki_sha256 = ? ORDER BY id DESC LIMIT ?", spki_sha256.lower(), limit)

    def by_order(self, order: str) -> Certificate:
        """The certificate of an ACME order. Raises `NotFound`."""
        return self._certificate("""WHERE "order" = ? AND "order" <> '' ORDER BY issued_at DESC LIMIT 1""", order)

    def expiring(self, before: int, after: int = 0, limit: int = 1000) -> tuple[Certificate, ...]:
        """Unrevoked certificates whose notAfter lies in [after, before), the soonest first."""
        tail = "WHERE not_after < ? AND not_after >= ? AND revoked_at = 0 ORDER BY not_after, id LIMIT ?"
        return self.select(CERTIFICATE, tail, before, after, limit)

    def find(self, query: Query, now: int) -> Page:
        """One page of what the query asks for, as of `now`.

        Pages never overlap, and never skip a row that was there all the time, whatever is issued meanwhile:
        `after` names the last row seen. Raises `BadRequest` for an unknown status, order, limit or cursor.
        """
        rows = self.rows(*_statement(query, now))
        page = rows[: query.limit]
        items = tuple(CERTIFICATE.decode(row[:-2]) for row in page)
        return Page(items, _cursor(query.order_by, *page[-1][-2:]) if len(rows) > query.limit else "")

    def _certificate(self, tail: str, *values: object) -> Certificate:
        return self.first("There is no such certificate.", CERTIFICATE, tail, *values)


# --- from a query to SQL ------------------------------------------------------------------------


def _statement(query: Query, now: int) -> tuple[Any, ...]:
    """The SELECT and its values: the certificate's columns, then the sort key and the id, one row more than a page."""
    if not 1 <= query.limit <= 1000:
        raise BadRequest("A page has 1 to 1000 entries.", next_step="Ask for fewer, and follow the cursor.")
    column, direction = _choice(_ORDERS, query.order_by, "order")
    conditions = [*_filters(query, now), *_keyset(query, column, direction)]
    words = ["SELECT", CERTIFICATE.listed, f", {column}, id FROM certificate"]
    if conditions:
        words += ["WHERE", " AND ".join(sql for sql, _ in conditions)]
    words.append(f"ORDER BY {column} {direction}, id {direction} LIMIT ?")
    return " ".join(words), *(value for _, some in conditions for value in some), query.limit + 1


def _filters(query: Query, now: int) -> list[Condition]:
    found: list[Condition] = [(sql, (getattr(query, name),)) for name, sql in _EXACT.items() if getattr(query, name)]
    if query.status:
        sql, values = _choice(_STATUSES, query.status, "status")
        found.append((sql, values(query, now)))
    if query.name:
        found.append(_name(query.name.lower()))
    if query.text:
        found.append(_text(query.text.lower().strip()))
    return found


def _name(name: str) -> Condition:
    """A whole name, or with `*.` in front every name below it (the wildcard itself among them)."""
    if not name.startswith("*."):
        return "id IN (SELECT certificate FROM certificate_name WHERE value = ?)", (name,)
    tail = name[1:][::-1]
    sql = "id IN (SELECT certificate FROM certificate_name WHERE reversed >= ? AND reversed < ?)"
    return sql, (tail, tail + _LAST)


def _text(text: str) -> Condition:
    """The beginning of any name, of the CN, or of the serial."""
    sql = (
        "id IN (SELECT certificate FROM certificate_name WHERE value >= ? AND value < ? "
        "UNION SELECT id FROM certificate WHERE serial >= ? AND serial < ?)"
    )
    return sql, (text, text + _LAST) * 2


def _choice(table: Mapping[str, T], name: str, what: str) -> T:
    try:
        return table[name]
    except KeyError:
        raise BadRequest(f"{name!r} is no {what}.", next_step=f"Use one of: {', '.join(table)}.") from None


# --- cursors: opaque outside; the order, and the sort key and id of the last row seen ------------


def _cursor(order: str, key: int | str, row_id: int) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((order, key, row_id))).decode().rstrip("=")


def _keyset(query: Query, column: str, direction: str) -> list[Condition]:
    if not query.after:
        return []
    sign = "<" if direction == "DESC" else ">"
    return [(f"({column}, id) {sign} (?, ?)", _seen(query))]


def _seen(query: Query) -> tuple[object, ...]:
    try:
        raw = base64.b64decode(query.after + "=" * (-len(query.after) % 4), altchars=b"-_", validate=True)
        order, key, row_id = msgspec.json.decode(raw, type=tuple[str, int | str, int])
    except (binascii.Error, ValueError, msgspec.DecodeError):
        order, key, row_id = "", 0, 0
    if order != query.order_by or isinstance(key, str) != (order == "name"):
        raise BadRequest("The cursor is not one of this list.", next_step="Begin again without it.")
    return key, row_id
