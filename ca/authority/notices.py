"""Telling people: what they have to know is written into the outbox once, and sent from there until it is taken.

Looking and sending are two jobs: a mail server that is away holds up nothing but its own channel.
"""

import secrets
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

import structlog

from ca.authority.deeds import words
from ca.authority.desk import Desk
from ca.authority.lights import lights
from ca.authority.report import Report
from ca.authority.seat import Seat
from ca.clock import rfc3339
from ca.errors import NotFound, Unavailable
from ca.notices import Channel, open_channels
from ca.people import Right
from ca.records import Actor, Certificate, Event, Notice, serial_hex

DAY = 86400
MOST = 1000
"""Certificates that one look takes in, the first to end first."""

SHOWN = 25
"""Certificates that one notice names; it says how many more there are."""

RETRIES = (60, 300, 1800, 7200, 21600, 43200, 86400)
"""Seconds until the next try, after each that failed; then it is given up."""

GRACE = 120
"""Seconds that trouble of this side has to last before somebody is told: what passes by itself is withdrawn."""

KEPT = 90 * DAY
"""Seconds that a notice is kept after it was written."""

_ROUND = 100


@dataclass(frozen=True, slots=True)
class Told:
    """What is to be told, whoever is told. `about` tells it from everything else of its kind; `page` is below /ui."""

    kind: str
    about: str
    title: str
    lines: tuple[str, ...]
    page: str
    owner: str = ""
    grace: int = 0

    @property
    def key(self) -> str:
        """What a channel is told once."""
        return f"{self.kind}:{self.about}"


def collect(desk: Desk) -> Report:
    """Writes down what people have to be told now and were not told yet. Safe on several nodes."""
    ways = channels(desk)
    if not ways:
        return Report("collect_notices")
    found = tuple(_everything(desk))
    desk.store.withdraw_notices(frozenset(one.key for one in found if one.grace))
    told = (_notice(desk, one, way) for one in found for way in ways if way.takes(one.kind, one.owner))
    done = desk.store.add_notices(told)
    desk.store.drop_notices(desk.clock() - KEPT)
    return Report("collect_notices", done)


def send(desk: Desk) -> Report:
    """Sends what is due. A channel that fails is left alone for the rest of the round."""
    ways, broken, done = open_channels(desk.config), set[str](), 0
    for notice in desk.store.due_notices(desk.clock(), _ROUND):
        if notice.channel in broken:
            continue
        try:
            _channel(ways, notice.channel).way.send(notice, desk.clock())
        except (Unavailable, NotFound) as error:
            broken.add(notice.channel)
            _failed(desk, notice, str(error), for_ever=isinstance(error, NotFound))
        else:
            desk.store.notice_sent(notice.id, desk.clock())
            done += 1
    return Report("send_notices", done, len(broken), "; ".join(sorted(broken)))


def _failed(desk: Desk, notice: Notice, why: str, *, for_ever: bool) -> None:
    wait = 0 if for_ever or notice.failures >= len(RETRIES) else RETRIES[notice.failures]
    structlog.get_logger().warning("notice.failed", channel=notice.channel, notice=notice.id, why=why, again=wait)
    desk.store.notice_failed(notice.id, why, desk.clock() + wait if wait else 0)


def _channel(ways: dict[str, Channel], name: str) -> Channel:
    if name not in ways:
        raise NotFound(f"There is no channel {name[:40]!r}.", next_step="See 'certwright notify list'.")
    return ways[name]


def _notice(desk: Desk, told: Told, channel: Channel) -> Notice:
    now = desk.clock()
    link = f"{desk.config.server.public_url.rstrip('/')}/ui{told.page}"
    return Notice(
        id=f"msg_{secrets.token_hex(12)}",
        channel=channel.name,
        kind=told.kind,
        owner=told.owner,
        key=told.key,
        title=told.title,
        lines=told.lines,
        link=link,
        created_at=now,
        due_at=now + told.grace,
    )


# --- people ask ---------------------------------------------------------------------------------


def listed(desk: Desk, seat: Seat, most: int = 100) -> tuple[tuple[Channel, ...], tuple[Notice, ...]]:
    """The channels, and the newest notices. Raises `Denied`.

    What was in the way names hosts and files: that is for those who run or audit this CA.
    """
    seat.demand(Right.SEE)
    inside = seat.may(Right.RUN_JOBS) or seat.may(Right.SEE_JOURNAL)
    found = desk.store.notices(most)
    return channels(desk), found if inside else tuple(replace(one, trouble="") for one in found)


def channels(desk: Desk) -> tuple[Channel, ...]:
    """Every channel of the configuration."""
    return tuple(open_channels(desk.config).values())


def try_by(desk: Desk, seat: Seat, name: str) -> Notice:
    """Has a channel tried by somebody at the UI: see `try_out`. Raises `Denied`."""
    seat.demand(Right.RUN_JOBS)
    return try_out(desk, name, seat.actor)


def try_out(desk: Desk, name: str, actor: Actor) -> Notice:
    """Has the scheduler send a test by a channel, journalled. Raises `NotFound`."""
    channel = _channel(open_channels(desk.config), name)
    told = Told("test", secrets.token_hex(8), "A test", (f"{actor.id} had this channel ({name}) tried.",), "/notices")
    notice = _notice(desk, told, channel)
    with desk.store.transaction():
        desk.store.add_notices([notice])
        desk.journal.append(Event("notice.tried", actor, f"channel:{name}"))
    return notice


# --- what there is to tell ----------------------------------------------------------------------


def _everything(desk: Desk) -> Iterator[Told]:
    yield from _unrenewed(desk)
    yield from _failures(desk)
    yield from _alarms(desk)
    yield from _approvals(desk)


def _unrenewed(desk: Desk) -> Iterator[Told]:
    """A digest for each owner: what ends, and which ACME clients should have renewed by now."""
    now = desk.clock()
    piles: dict[tuple[str, str], list[Certificate]] = defaultdict(list)
    for one in desk.store.unrenewed(now, desk.config.notify.ending, MOST):
        piles["silent" if one.account else "expiring", one.owner].append(one)
    for (kind, owner), pile in piles.items():
        count = f"{len(pile)} certificate{'s' if len(pile) > 1 else ''}{f' of {owner}' if owner else ''}"
        what = "should have been renewed by ACME" if kind == "silent" else f"end{'s' if len(pile) == 1 else ''} soon"
        lines = [_line(one, now) for one in pile[:SHOWN]]
        more = [f"and {len(pile) - SHOWN} more"] if len(pile) > SHOWN else []
        page = f"/certificates/{serial_hex(pile[0].serial)}" if len(pile) == 1 else "/certificates?q=status:expiring"
        yield Told(kind, f"{owner}:{_turn(desk)}", f"{count} {what}", (*lines, *more), page, owner)


def _line(one: Certificate, now: int) -> str:
    names = ", ".join(name.value for name in one.names[:3]) + (" …" if len(one.names) > 3 else "")
    days = (one.not_after - now) / DAY
    return f"{names}: ends {rfc3339(one.not_after)} (in {days:.0f} days), serial {serial_hex(one.serial)}"


def _failures(desk: Desk) -> Iterator[Told]:
    """A job that fails is told once, until it succeeds."""
    for run in desk.store.runs():
        if not run.ok:
            since = f"It succeeded last at {rfc3339(run.succeeded_at)}." if run.succeeded_at else "It never succeeded."
            about, title = f"{run.name}:{run.succeeded_at}", f"The job {run.name} fails"
            yield Told("failed", about, title, (run.detail, since), "/jobs", grace=GRACE)


def _alarms(desk: Desk) -> Iterator[Told]:
    """The lights of the first page, without those of what is told by itself: failing jobs, and deeds done alone."""
    for light in lights(desk):
        if light.level != "good" and light.name not in ("Scheduler", "Four eyes"):
            about, title = f"{light.name}:{_turn(desk)}", f"{light.name}: {light.detail}"
            yield Told("alarm", about, title, (light.next_step or "See the first page.",), "/", grace=GRACE)


def _approvals(desk: Desk) -> Iterator[Told]:
    for one in desk.store.open_proposals(desk.clock()):
        page = f"/approvals/{one.id}"
        if one.state == "emergency":
            done = f"It was done at {rfc3339(one.proposed_at)}, and waits for a review."
            title = f"{one.proposed_by} acted alone in an emergency"
            yield Told("alarm", one.id, title, (words(one), one.why, done), page)
        else:
            until = f"It waits for a second person until {rfc3339(one.expires_at)}."
            title = f"A proposal of {one.proposed_by} waits for approval"
            yield Told("approval", one.id, title, (words(one), until), page)


def _turn(desk: Desk) -> int:
    """The same until `notify.again` is over."""
    return desk.clock() // desk.config.notify.again
