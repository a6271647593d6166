"""Pictures as numbers: where each square and bar stands. The templates draw them as SVG; colours are classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ca.authority.survey import DAY, Survey
from ca.clock import at, rfc3339

WIDE, HIGH, GAP = 34, 14, 3
"""Pixels of a day in the calendar."""

COLUMN = 46
"""Pixels of a day in the history."""


@dataclass(frozen=True, slots=True)
class Square:
    """One day of the calendar. `level` is 0 to 4; `day` as `2026-12-24`."""

    x: int
    y: int
    level: int
    count: int
    day: str
    weekday: str
    today: bool


@dataclass(frozen=True, slots=True)
class Calendar:
    """Weeks from left to right, Monday on top; `months` are labels with their x."""

    squares: tuple[Square, ...]
    months: tuple[tuple[int, str], ...]
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: `size` of `full` pixels long, and what it says."""

    label: str
    count: int
    size: int
    place: int
    kind: str = ""


def pictures(found: Survey) -> dict[str, Any]:
    """All three of the first page, by the names that it knows them by."""
    return {"calendar": calendar(found), "ahead": ahead(found), "history": history(found)}


def calendar(found: Survey) -> Calendar:
    """The 90 days from today on, each darker the more certificates end on it."""
    most = max(found.expiring, default=0)
    first = at(found.today).weekday()
    squares = tuple(_square(found, day, first, most) for day in range(min(91, len(found.expiring))))
    months = _months(squares)
    return Calendar(squares, months, (squares[-1].x if squares else 0) + WIDE, 7 * (HIGH + GAP))


def _square(found: Survey, day: int, first: int, most: int) -> Square:
    count, start = found.expiring[day], found.today + day * DAY
    place = first + day
    x, y = place // 7 * (WIDE + GAP), place % 7 * (HIGH + GAP)
    return Square(x, y, level(count, most), count, rfc3339(start)[:10], at(start).strftime("%A"), day == 0)


def level(count: int, most: int) -> int:
    """0 for none, 1 to 4 by quarters of the largest: one alone is seen, and many stand out."""
    return 0 if not count else min(4, 1 + (4 * count - 1) // max(most, 4))


def _months(squares: Sequence[Square]) -> tuple[tuple[int, str], ...]:
    """A label over the first column of each month, unless it would run into the one before."""
    found: list[tuple[int, str]] = []
    for one in squares:
        name = _MONTHS[int(one.day[5:7]) - 1]
        if not found or (found[-1][1] != name and one.x > found[-1][0]):
            found.append((one.x, name))
    return tuple(found)


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
AHEAD = (1, 7, 14, 30, 60, 90)


def ahead(found: Survey, full: int = 150) -> tuple[Bar, ...]:
    """How many end within so many days, as lying bars."""
    counts = [found.within(days) for days in AHEAD]
    most = max(*counts, 1)
    kinds = ("bad", "warn", "", "", "", "")
    return tuple(
        Bar("24 h" if days == 1 else f"{days} days", count, _size(count, most, full), row * 22, kind)
        for row, (days, count, kind) in enumerate(zip(AHEAD, counts, kinds, strict=True))
    )


@dataclass(frozen=True, slots=True)
class Column:
    """One day of a history: issued, and what failed beside it."""

    x: int
    day: str
    issued: int
    failed: int
    issued_size: int
    failed_size: int


def history(found: Survey, full: int = 90) -> tuple[Column, ...]:
    """Issued and failed, a pair of standing bars for each of the last days."""
    most = max(*found.issued, *found.failed, 1)
    first = found.today - (len(found.issued) - 1) * DAY
    return tuple(
        Column(
            index * COLUMN,
            rfc3339(first + index * DAY)[:10],
            issued,
            failed,
            _size(issued, most, full),
            _size(failed, most, full),
        )
        for index, (issued, failed) in enumerate(zip(found.issued, found.failed, strict=True))
    )


def _size(count: int, most: int, full: int) -> int:
    """At least two pixels for anything at all."""
    return max(2, count * full // most) if count else 0
