"""The survey: how many certificates there are, end, were issued, refused, revoked. What the first page shows.

Counting a million takes a moment, so the scheduler takes a survey each minute and the page shows the last one, with its
time. A small CA is counted each time, and its page is never behind.
"""

from dataclasses import dataclass

import msgspec

from ca.authority.desk import Desk
from ca.authority.report import Report
from ca.errors import NotFound

DAY = 86400
DAYS_AHEAD, DAYS_BACK = 91, 14

SMALL = 50_000
"""Certificates and journal entries together that are counted within a page."""

OLD = 600
"""Seconds after which a survey counts for nothing: without a scheduler the page counts for itself."""

_SETTING = "survey"
_ISSUED, _REVOKED = "certificate.issued", "certificate.revoked"
_FAILED = ("issuance.refused", "issuance.withdrawn", "issuance.abandoned", "order.invalid", "challenge.failed")


@dataclass(frozen=True, slots=True)
class Survey:
    """Counts as of `taken_at`. `expiring[d]` end on day d, counted from midnight UTC of that day; the histories hold
    one count a day, the last of them today's."""

    taken_at: int
    valid: int
    expired: int
    revoked: int
    expiring: tuple[int, ...]
    issued: tuple[int, ...]
    failed: tuple[int, ...]
    revocations: tuple[int, ...]

    def within(self, days: int) -> int:
        """How many end in the next days, today among them."""
        return sum(self.expiring[:days])

    @property
    def today(self) -> int:
        """Midnight UTC of the day on which it was taken."""
        return self.taken_at - self.taken_at % DAY


def survey(desk: Desk) -> Survey:
    """The last survey, or a new one where that costs little or the last is old."""
    if desk.store.size() <= SMALL:
        return count(desk)
    try:
        kept = msgspec.json.decode(desk.store.setting(_SETTING), type=Survey)
    except NotFound:
        return _kept(desk, count(desk))
    return kept if kept.taken_at > desk.clock() - OLD else _kept(desk, count(desk))


def take_survey(desk: Desk) -> Report:
    """Counts, and keeps it for the first page; a small CA needs none."""
    if desk.store.size() <= SMALL:
        return Report("take_survey", 0)
    _kept(desk, count(desk))
    return Report("take_survey", 1)


def _kept(desk: Desk, counted: Survey) -> Survey:
    desk.store.set_setting(_SETTING, msgspec.json.encode(counted).decode())
    return counted


def count(desk: Desk) -> Survey:
    """Counts everything now."""
    now = desk.clock()
    today = now - now % DAY
    since = today - (DAYS_BACK - 1) * DAY
    with desk.store.reading():
        valid, expired = desk.store.count_unrevoked(now)
        ending = desk.store.count_expiring(today, DAYS_AHEAD)
        told = desk.store.count_events(since, (_ISSUED, _REVOKED, *_FAILED))
        revoked = desk.store.count_revoked()

    def days(*actions: str) -> tuple[int, ...]:
        return tuple(sum(told.get((name, day), 0) for name in actions) for day in range(DAYS_BACK))

    expiring = tuple(ending.get(day, 0) for day in range(DAYS_AHEAD))
    return Survey(now, valid, expired, revoked, expiring, days(_ISSUED), days(*_FAILED), days(_REVOKED))
