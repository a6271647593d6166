"""The query box: `status:expiring san:*.pay.test owner:"shop team"`, words and chips to a `Query`, and back."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ca.errors import BadRequest
from ca.records import Query

DAY = 86400
_WORD = re.compile(r'(?:(?P<key>[a-z]+):)?(?:"(?P<quoted>[^"]*)"|(?P<bare>\S+))')
_FIELDS = {"san": "name", "status": "status", "owner": "owner", "profile": "profile", "issuer": "issuer"}
_FIELDS |= {"account": "account", "token": "token", "tag": "tag"}
_STATUSES = ("valid", "expiring", "expired", "revoked")
ORDERS = {"issued": "newest first", "expiry": "ending first", "name": "by name"}
LONGEST = 500


@dataclass(frozen=True, slots=True)
class Chip:
    """One suggestion below the box: `text` is the query that it leads to."""

    label: str
    text: str
    on: bool


def parse(text: str) -> Query:
    """The query of a box's text. Raises `BadRequest` for a chip that is none, naming those that exist."""
    if len(text) > LONGEST:
        raise BadRequest(f"A query has at most {LONGEST} characters.", next_step="Leave something out.")
    query = Query()
    for key, value in _words(text):
        query = _with(query, key, value)
    return query


def _words(text: str) -> Iterator[tuple[str, str]]:
    for found in _WORD.finditer(text):
        value = found["quoted"] if found["quoted"] is not None else found["bare"]
        yield found["key"] or "", value


def _with(query: Query, key: str, value: str) -> Query:
    if not key:
        if query.text:
            raise BadRequest("One free word at a time.", next_step="For a name inside a domain write san:*.domain.")
        return replace(query, text=value)
    if key == "tag" and query.tag:
        raise BadRequest("One tag at a time.", next_step="Take the other one out.")
    if key == "status" and value not in _STATUSES:
        raise BadRequest(f"{value!r} is no status.", next_step=f"Use one of {', '.join(_STATUSES)}.")
    if key == "order" and value in ORDERS:
        return replace(query, order_by=value)
    if key in ("ends", "within"):
        return _ending(query, key, value)
    if key not in _FIELDS:
        known = ", ".join(f"{one}:" for one in (*_FIELDS, "ends", "within", "order"))
        raise BadRequest(f"{key}: is no chip.", next_step=f"Use some of {known}.")
    named: dict[str, Any] = {_FIELDS[key]: value}
    return replace(query, **named)


def _ending(query: Query, key: str, value: str) -> Query:
    """`ends:2026-12-24` a day (UTC), `within:14d` from now on."""
    if key == "within":
        days = re.fullmatch(r"(\d{1,4})d?", value)
        if not days:
            raise BadRequest(f"{value!r} is no number of days.", next_step="Write within:30d.")
        return replace(query, status="expiring", expiring_within=int(days[1]) * DAY, order_by="expiry")
    try:
        start = int(datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise BadRequest(f"{value!r} is no day.", next_step="Write ends:2026-12-24.") from None
    return replace(query, ends_from=start, ends_before=start + DAY, order_by="expiry")


def suggestions(text: str) -> tuple[Chip, ...]:
    """The chips below the box; one that is on takes its word out again."""
    words = [found[0] for found in _WORD.finditer(text)]
    return tuple(_chip(label, word, words) for label, word in _SUGGESTED)


_SUGGESTED = (
    ("Valid", "status:valid"),
    ("Ending in 7 days", "within:7d"),
    ("Ending in 30 days", "within:30d"),
    ("Revoked", "status:revoked"),
    ("Expired", "status:expired"),
    ("Newest first", "order:issued"),
    ("Ending first", "order:expiry"),
    ("By name", "order:name"),
)


def _chip(label: str, word: str, words: list[str]) -> Chip:
    key = word.partition(":")[0]
    alike = ("status:", "within:", "ends:") if key in ("status", "within") else (f"{key}:",)
    rest = [one for one in words if not one.startswith(alike)]
    on = word in words
    return Chip(label, " ".join(rest if on else [*rest, word]), on)
