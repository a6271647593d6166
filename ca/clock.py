"""The time, handed in: rooms take a `Clock` and call it, so that tests own the time."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], int]
"""Answers the current time in whole seconds since the Unix epoch, UTC."""


def system_clock() -> int:
    """The machine's wall clock, in epoch seconds."""
    return int(time.time())


def at(epoch: int) -> datetime:
    """The aware UTC datetime of an epoch second, as the certificate builders want it."""
    return datetime.fromtimestamp(epoch, UTC)


def rfc3339(epoch: int) -> str:
    """`2026-11-23T21:00:00Z`: how times are shown outside."""
    return at(epoch).strftime("%Y-%m-%dT%H:%M:%SZ")
