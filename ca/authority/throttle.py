"""Guessing is slowed down, by the name that is tried and by the address that tries; the same for names that nobody has.

An attempt is counted before it is judged, so that many at once do not slip through together.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from ca.authority.desk import Desk
from ca.errors import RateLimited

FREE_BY_NAME = 5
FREE_BY_ADDRESS = 30
"""Failures in a row without a wait; each further one doubles it."""

LONGEST = 900
"""Seconds of the longest wait."""

_FORGET = 3600


@contextmanager
def attempt(desk: Desk, name: str, address: str) -> Iterator[None]:
    """Around one attempt: what raises in it counts as failed. Raises `RateLimited` while either has to wait."""
    keys = ((_key("user", name), FREE_BY_NAME), (_key("address", address), FREE_BY_ADDRESS))
    before = [_count(desk, key, free) for key, free in keys]
    yield
    desk.store.clear_failures(keys[0][0])
    desk.store.set_failures(keys[1][0], before[1], desk.clock(), desk.clock() - _FORGET)


def _count(desk: Desk, key: str, free: int) -> int:
    """Counts one more, and answers how many there were before."""
    now = desk.clock()
    with desk.store.transaction():
        failures, until = desk.store.failures(key)
        if failures >= free and until > now:
            raise RateLimited(
                "There were too many wrong attempts.",
                retry_after=until - now,
                next_step=f"Wait {until - now} s, or sign in by a passkey.",
            )
        wait = min(2 ** max(failures + 1 - free, 0), LONGEST)
        desk.store.set_failures(key, failures + 1, now + wait, now - _FORGET)
    return failures


def _key(kind: str, value: str) -> str:
    """Names as typed may be anything, and are nobody's business afterwards."""
    return hashlib.sha256(f"{kind}:{value}".encode()).hexdigest()
