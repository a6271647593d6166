"""Search: page after page of certificates, by what people know of them.

Whatever is asked of a million certificates, a page costs some thousand entries of an index, never a sort of all that
match. There are three ways to it:

1. Newest first: a filter's index holds its certificates in the order of their ids, and is followed.
2. In another order, if few meet one of the filters: these are looked at and sorted.
3. Else the index of the list's order is followed, and each certificate on it is held against the filters.

Ways 1 and 3 end after so many steps, also before the page is full; the cursor then goes on from there. What more than
a FEW of a million meet is met every few hundred steps, so that happens only where what matches lies far apart.

The statements leave the planner no choice, since it knows nothing of that: `+ 0` and `|| ''` keep a column out of
every index but the one that is meant, `Dialect.among` leads along one value of an index, and a count in a subquery is
asked for each row, never joined.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, TypeVar

import msgspec

from ca.errors import BadRequest
from ca.records import Page, Query
from ca.store.issuance import DEPTH
from ca.store.office import Office
from ca.store.tables import CERTIFICATE

T = TypeVar("T")
Values = tuple[object, ...]
Statement = tuple[str, Values]

FEW = 5_000
"""Certificates that may be looked at one by one and sorted for a page."""

STEPS = 5_000
"""Steps of a page, where each certificate's row or names are looked at."""

NARROW_STEPS = 100_000
"""Steps of a page, where the index that is followed answers every filter."""

_LAST = "\U0010ffff"
_NO_ID = (1 << 63) - 1


class Search(Office):
    """The certificates that were issued, as lists."""

    def find(self, query: Query, now: int) -> Page:
        """One page of what the query asks for, as of `now`.

        Pages never overlap, and never skip a row that was there all the time, whatever is issued meanwhile. Where
        what matches lies far apart a page may be short, even empty, and still have a `next`: the search goes on
        there. Raises `BadRequest` for an unknown status, order, limit or cursor.
        """
        if not 1 <= query.limit <= 1000:
            raise BadRequest("A page has 1 to 1000 entries.", next_step="Ask for fewer, and follow the cursor.")
        order = _choice(_ORDERS, query.order_by, "order")
        wanted = tuple(_filters(query, now))
        with self.reading():
            seen = self._seen(query.after, order) if query.after else ()
            return self._page(self._way(order, wanted, seen), seen, query.limit)

    def _page(self, way: "Way", seen: Values, limit: int) -> Page:
        rows, end = self._walk(way, seen, limit + 1)
        items = tuple(CERTIFICATE.decode(row[:-2]) for row in rows[:limit])
        last = rows[limit - 1] if len(rows) > limit else end
        return Page(items, _cursor(way.order, last[-1]) if last else "")

    def _seen(self, cursor: str, order: "Order") -> Values:
        """Sort key and id of the step that a cursor names."""
        found = self.rows(f"SELECT {order.column}, c.id FROM certificate c WHERE c.id = ?", _last_id(cursor, order))
        if not found:
            raise _foreign()
        return found[0]

    def _walk(self, way: "Way", seen: Values, limit: int) -> tuple[list[Values], Values]:
        """The rows of a page, and where the walk ended if it ended before its way did."""
        rows: list[Values] = []
        end: Values = ()
        for steps in way.steps:
            end = self._last_step(way, seen, steps)
            sql, values = way.page(seen, end, limit)
            rows = self.rows(sql, *values)
            if len(rows) == limit or not end:
                break
        return rows, end

    def _last_step(self, way: "Way", seen: Values, steps: int) -> Values:
        """Sort key and id of the last step; nothing when the way is shorter, or unbounded."""
        if not steps:
            return ()
        sql, values = way.step(seen, steps)
        found = self.rows(sql, *values)
        return found[0] if found else ()

    def _way(self, order: "Order", wanted: tuple["Filter", ...], seen: Values) -> "Way":
        followed = {one: self._following(order, one, wanted) for one in wanted if one.key and order.falls}
        if followed and len(wanted) == 1:
            return followed[wanted[0]]
        few = next((one for one in wanted if self._is_few(one)), None)
        if few in followed:
            return replace(followed[few], steps=(0,))
        if few:
            return _sorting(order, few, _without(few, wanted))
        return self._furthest(tuple(followed.values()), seen) if followed else _listing(order, wanted)

    def _following(self, order: "Order", one: "Filter", wanted: tuple["Filter", ...]) -> "Way":
        return _following(order, one, _without(one, wanted), self._dialect.among)

    def _furthest(self, ways: tuple["Way", ...], seen: Values) -> "Way":
        """The one that gets furthest in as many steps: its filter is the rarest here."""
        return ways[0] if len(ways) == 1 else min(ways, key=lambda way: self._last_step(way, seen, STEPS)[-1:])

    def _is_few(self, one: "Filter") -> bool:
        sql = f"SELECT count(*) FROM (SELECT 1 {one.source} LIMIT ?) few"
        return int(self.rows(sql, *one.values, FEW + 1)[0][0]) <= FEW


# --- orders and filters -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Order:
    """A list's order: its column of a certificate `c`, and the same kept out of every index."""

    name: str
    column: str
    unindexed: str
    falls: bool = False


@dataclass(frozen=True, slots=True)
class Filter:
    """One wish. `source` is FROM … WHERE …, through an index, and `id` the column there that names a certificate.

    `check` says the same of a certificate `c` that is met on the way. `key`: the column by whose index, with the id,
    they are followed in the order of their ids: `all` is that source without the wish, empty where it has that order
    anyway.
    `narrow`: the index of every order answers the check. `rides`: the order that the source has.
    """

    source: str
    id: str
    check: str
    values: Values
    key: str = ""
    all: str = ""
    narrow: bool = False
    rides: str = ""


_ORDERS: Mapping[str, Order] = {
    "issued": Order("issued", "c.id", "c.id + 0", falls=True),
    "expiry": Order("expiry", "c.not_after", "c.not_after + 0"),
    "name": Order("name", "c.sort_name", "c.sort_name || ''"),
}
_STATUSES: Mapping[str, str] = {
    "valid": "c.not_after{} >= ? AND c.revoked_at + 0 = 0",
    "expired": "c.not_after{} < ? AND c.revoked_at + 0 = 0",
    "expiring": "c.not_after{} >= ? AND c.not_after{} < ? AND c.revoked_at + 0 = 0",
    "revoked": "c.revoked_at{} > 0",
}


def _filters(query: Query, now: int) -> Iterator[Filter]:
    """The query's filters, those that few meet first."""
    if query.name:
        yield _name(query.name.lower())
    if query.text:
        yield _text(query.text.lower().strip())
    if query.tag:
        yield _filed("certificate_tag", "tag" if "=" in query.tag else "key", query.tag)
    if query.public_key:
        yield _column("spki_sha256", query.public_key.lower())
    for column in ("token", "account", "owner"):
        if value := getattr(query, column):
            yield _column(column, value, f" AND c.{column} <> ''")  # lets the partial index serve it
    if query.status:
        yield _status(query, now)
    yield from _times(query)
    for column in ("profile", "issuer"):
        if value := getattr(query, column):
            yield _column(column, value)


def _name(name: str) -> Filter:
    """A whole name, or with `*.` in front every name below it (the wildcard itself among them)."""
    if not name.startswith("*."):
        return _filed("certificate_name", "value", name)
    if name.count(".") > DEPTH:
        raise BadRequest(f"A domain of over {DEPTH} labels cannot be searched.", next_step="Leave out some labels.")
    return _filed("certificate_parent", "parent", name[2:])


def _filed(table: str, column: str, value: str) -> Filter:
    every = f"FROM {table} n WHERE n.certificate + 0 > 0"
    check = f"(SELECT count(*) FROM {table} x WHERE x.{column} = ? AND x.certificate = c.id) > 0"
    return Filter(f"FROM {table} n WHERE n.{column} = ?", "n.certificate", check, (value,), f"n.{column}", every)


def _text(text: str) -> Filter:
    """The beginning of any name, of the CN, or of the serial."""
    begins = "{0} >= ? AND {0} < ?"
    source = (
        f"FROM (SELECT certificate FROM certificate_name WHERE {begins.format('value')} "
        f"UNION ALL SELECT id FROM certificate WHERE {begins.format('serial')}) n WHERE n.certificate > 0"
    )
    named = f"SELECT count(*) FROM certificate_name x WHERE x.certificate = c.id AND {begins.format('x.value')}"
    check = f"(({named}) > 0 OR {begins.format('c.serial')})"
    return Filter(source, "n.certificate", check, (text, text + _LAST) * 2)


def _column(column: str, value: str, more: str = "") -> Filter:
    name = f"c.{column}"
    every = f"FROM certificate c WHERE c.id + 0 > 0{more}"
    return Filter(
        f"FROM certificate c WHERE {name} = ?{more}", "c.id", f"{name} || '' = ?", (value,), key=name, all=every
    )


def _status(query: Query, now: int) -> Filter:
    condition = _choice(_STATUSES, query.status, "status")
    values = (now, now + query.expiring_within)[: condition.count("?")]
    source, check = (condition.replace("{}", kept) for kept in ("", " + 0"))
    once = f"FROM certificate c WHERE {source}"
    if query.status == "revoked":
        return Filter(once, "c.id", check, values, key="c.id", narrow=True)
    return Filter(once, "c.id", check, values, narrow=True, rides="expiry")


def _times(query: Query) -> Iterator[Filter]:
    if query.ends_before:
        yield _ends(query.ends_from, query.ends_before)
    if query.issued_until:
        yield _issued(query.issued_until)


def _ends(start: int, end: int) -> Filter:
    """A notAfter in [start, end)."""
    condition = "c.not_after{} >= ? AND c.not_after{} < ?"
    source, check = (condition.replace("{}", kept) for kept in ("", " + 0"))
    return Filter(f"FROM certificate c WHERE {source}", "c.id", check, (start, end), narrow=True, rides="expiry")


def _issued(until: int) -> Filter:
    """Issued then or before: what most are, so that it is only ever held against them."""
    condition = "c.issued_at <= ?"
    return Filter(f"FROM certificate c WHERE {condition}", "c.id", condition, (until,))


def _choice(table: Mapping[str, T], name: str, what: str) -> T:
    try:
        return table[name]
    except KeyError:
        raise BadRequest(f"{name!r} is no {what}.", next_step=f"Use one of: {', '.join(table)}.") from None


def _without(one: Filter, wanted: tuple[Filter, ...]) -> tuple[Filter, ...]:
    return tuple(other for other in wanted if other is not one)


# --- ways ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Way:
    """A way through certificates in an order: FROM … WHERE …, its sort key and id, and what each is held against.

    `steps` are the lengths that are tried one after the other until the page is full; 0 is the whole way. `value`: the
    way is all of one value of its key, newest first. `bound` says which side of a step.
    """

    order: Order
    source: str
    values: Values
    key: str
    id: str
    checks: tuple[Filter, ...]
    steps: tuple[int, ...]
    value: Values = ()
    bound: str = "({key}, {id}) {sign} (?, ?)"

    def step(self, seen: Values, number: int) -> Statement:
        """Asks for the sort key and id of the step of that number; finds nothing past the end."""
        after, values = self._beyond(seen, ())
        sql = f"SELECT {self.key}, {self.id} {self.source}{after} {self._by} LIMIT 1 OFFSET ?"
        return sql, (*values, number - 1)

    def page(self, seen: Values, end: Values, limit: int) -> Statement:
        """Asks for certificates, each with its sort key and id: first which, then their rows."""
        after, values = self._beyond(seen, end)
        checks = "".join(f" AND {one.check}" for one in self.checks)
        held = tuple(value for one in self.checks for value in one.values)
        which = f"SELECT {self.id} AS id, {self.key} AS sort_key {self._checked}{after}{checks} {self._by} LIMIT ?"
        by = f"ORDER BY p.sort_key {self._direction}, p.id {self._direction}"
        sql = f"SELECT {_COLUMNS}, p.sort_key, p.id FROM ({which}) p CROSS JOIN certificate c WHERE c.id = p.id {by}"
        return sql, (*values, *held, limit)

    @property
    def _checked(self) -> str:
        """The source, with the certificate `c` to hold the checks against."""
        if not self.checks or self.id == "c.id":
            return self.source
        return self.source.replace(" WHERE ", f" CROSS JOIN certificate c WHERE c.id = {self.id} AND ", 1)

    def _beyond(self, seen: Values, end: Values) -> Statement:
        """The conditions that keep to the part after `seen` and not after `end`, with every value so far."""
        if self.value:
            seen, end = (*self.value, seen[-1] if seen else _NO_ID), (*self.value, end[-1] if end else 0)
        after, until = ("<", ">=") if self.order.falls else (">", "<=")
        parts = [(sign, place) for sign, place in ((after, seen), (until, end)) if place]
        sql = "".join(f" AND {self.bound.format(key=self.key, id=self.id, sign=sign)}" for sign, _ in parts)
        return sql, (*self.values, *(value for _, place in parts for value in place))

    @property
    def _direction(self) -> str:
        return "DESC" if self.order.falls else "ASC"

    @property
    def _by(self) -> str:
        columns = dict.fromkeys((self.key, self.id))
        return "ORDER BY " + ", ".join(f"{column} {self._direction}" for column in columns)


_COLUMNS = ", ".join(f'c."{name}"' for name in CERTIFICATE.columns)


def _sorting(order: Order, few: Filter, checks: tuple[Filter, ...]) -> Way:
    source = f"FROM certificate c WHERE c.id IN (SELECT {few.id} {few.source})"
    return Way(order, source, few.values, order.unindexed, "c.id", checks, (0,))


def _following(order: Order, one: Filter, checks: tuple[Filter, ...], among: str) -> Way:
    steps = (STEPS,) if checks else (0,)
    if not one.all:
        return Way(order, one.source, one.values, one.key, one.id, checks, steps)
    return Way(order, one.all, (), one.key, one.id, checks, steps, one.values, among)


def _listing(order: Order, wanted: tuple[Filter, ...]) -> Way:
    riding = tuple(one for one in wanted if one.rides == order.name)
    checks = tuple(one for one in wanted if one not in riding)
    conditions = [one.source.partition(" WHERE ")[2] for one in riding]
    source = " AND ".join(["FROM certificate c WHERE c.id + 0 > 0", *conditions])
    values = tuple(value for one in riding for value in one.values)
    steps = (STEPS, NARROW_STEPS) if all(one.narrow for one in checks) else (STEPS,)
    return Way(order, source, values, order.column, "c.id", checks, steps if wanted else (0,))


# --- cursors: opaque outside; the order and the id of the last step ------------------------------
# (Not its sort key: where the walk ended before the page was full, that is the name of someone else's certificate.)


def _cursor(order: Order, row_id: object) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((order.name, row_id))).decode().rstrip("=")


def _last_id(cursor: str, order: Order) -> int:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        name, row_id = msgspec.json.decode(raw, type=tuple[str, Annotated[int, msgspec.Meta(ge=0, le=_NO_ID)]])
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise _foreign() from None
    if name != order.name:
        raise _foreign()
    return row_id


def _foreign() -> BadRequest:
    return BadRequest("The cursor is not one of this list.", next_step="Begin again without it.")
