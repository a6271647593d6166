"""The time, handed in: rooms take a `Clock` and call it, so that tests own the time.

And the rule by which a wall clock is believed: it must go as the clock goes that counts from the machine's start,
and not lie before what is already written down. What is held against it is a value (`Trust`), what it shows another
(`Reading`); nothing here looks at a clock by itself but `system_clock` and `system_reading`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from ca.errors import ClockWrong

Clock = Callable[[], int]
"""Answers the current time in whole seconds since the Unix epoch, UTC."""

LARGEST_SKEW = 300
"""Seconds that a wall clock may differ from what it is held against: leap seconds and small corrections are less."""

RENEWED = 86400
"""Seconds after which a sound reading is what the next are held against: corrections of many days do not add up."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def system_clock() -> int:
    """The machine's wall clock, in epoch seconds."""
    return int(time.time())


def at(epoch: int) -> datetime:
    """The aware UTC datetime of an epoch second, as the certificate builders want it."""
    return datetime.fromtimestamp(epoch, UTC)


def rfc3339(epoch: int) -> str:
    """`2026-11-23T21:00:00Z`: how times are shown outside."""
    return at(epoch).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- whether the wall clock is believed ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a machine's clocks: epoch seconds, and seconds since the start `boot_id`, sleep included."""

    wall: int
    boot: int
    boot_id: str


Look = Callable[[], Reading]
"""Answers what the machine's clocks show now."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What a reading is held against: one that was believed, and the latest time that was written down."""

    anchor: Reading
    last: int = 0


@dataclass(frozen=True, slots=True)
class Skew:
    """How far a wall clock is ahead (or, below zero, behind), in seconds, and of what."""

    seconds: int
    against: str

    @property
    def sound(self) -> bool:
        """Whether the wall clock can be believed."""
        return abs(self.seconds) <= LARGEST_SKEW

    def demand(self) -> None:
        """Raises `ClockWrong` unless it is sound."""
        if not self.sound:
            where = "ahead of" if self.seconds > 0 else "behind"
            raise ClockWrong(
                f"The wall clock is {abs(self.seconds)} s {where} {self.against}.",
                next_step="Set the clock right, and it goes on by itself; or see 'certwright doctor clock'.",
            )


def skew(reading: Reading, trust: Trust) -> Skew:
    """The skew that counts: against the boot clock either way, against what is written down only backwards."""
    behind = min(0, reading.wall - trust.last)
    if reading.boot_id == trust.anchor.boot_id:
        stepped = Skew(reading.wall - _due(reading, trust.anchor), "the clock that counts from the machine's start")
        if not stepped.sound or -behind <= LARGEST_SKEW:
            return stepped
    return Skew(behind, f"the last time that was written down, {rfc3339(trust.last)}")


def best(reading: Reading, trust: Trust) -> int:
    """The best known time: the wall clock's while it is sound, else counted on from what was believed."""
    if skew(reading, trust).sound:
        return reading.wall
    counted = _due(reading, trust.anchor) if reading.boot_id == trust.anchor.boot_id else 0
    return max(counted, trust.last)


def believed(reading: Reading, trust: Trust) -> Trust:
    """What the next readings are held against, after a sound one."""
    anchor = trust.anchor
    old = reading.boot_id != anchor.boot_id or reading.boot - anchor.boot >= RENEWED
    return Trust(reading if old else anchor, max(trust.last, reading.wall))


def _due(reading: Reading, anchor: Reading) -> int:
    """What the wall clock should show, by the clock that counts from the machine's start."""
    return anchor.wall + reading.boot - anchor.boot


def system_reading() -> Reading:
    """What this machine's clocks show. Where nothing counts through a sleep, a sleep looks like a step."""
    counting = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return Reading(system_clock(), int(time.clock_gettime(counting)), _boot_id())


@cache
def _boot_id() -> str:
    """Names this start of the machine; where nothing tells, this process alone."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return f"process-{time.clock_gettime_ns(time.CLOCK_MONOTONIC)}"
