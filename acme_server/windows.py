"""When a certificate should be renewed: pure arithmetic over its life and its serial (RFC 9773 §4.2).

Two needs are met. From day to day, certificates that were made in one hour shall not come back in one hour: each
serial has a place of its own in the time for renewals. In an incident, many certificates have to be replaced soon,
and no sooner than this CA can: their windows follow each other at the rate that was measured.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from ca.records import Certificate, serial_hex

SHORT_LIFE = 10 * 86400
"""Seconds up to which a certificate is short-lived: it is renewed at half of its life, others at two thirds."""

INCIDENT_WIDTH = 600
"""Seconds that a window of an incident is wide: enough for a client that looks once in a while to find it open."""


@dataclass(frozen=True, slots=True)
class Window:
    """From when to when to renew, in epoch seconds; `start` lies before `end`."""

    start: int
    end: int


def usual(certificate: Certificate) -> Window:
    """The window of a certificate in good standing: the same at each call, and spread over serials.

    It opens up to a twelfth of the life earlier than the time to renew, which leaves a third of the life (half of a
    short one) for everything that can go wrong, and lasts for a twenty-fourth of it.
    """
    life = certificate.not_after - certificate.not_before + 1
    rest = life // 2 if life <= SHORT_LIFE else life // 3
    start = certificate.not_after - rest - int(life / 12 * _place(certificate.serial))
    return Window(start, start + max(1, life // 24))


def past(revoked_at: int) -> Window:
    """The window of a revoked certificate: it is over, so a client renews at once."""
    return Window(revoked_at - 2, revoked_at - 1)


def spread(count: int, per_second: float, begin: int) -> Iterator[Window]:
    """Windows for `count` certificates from `begin` on, of which no more open in a second than can be issued in it.

    Raises ValueError for a rate that is none.
    """
    if per_second <= 0:
        raise ValueError("nothing is issued at that rate")
    for number in range(count):
        start = begin + int(number / per_second)
        yield Window(start, start + INCIDENT_WIDTH)


def look_again(certificate: Certificate, longest: int) -> int:
    """Seconds until it is worth asking again: `longest`, or a twenty-fourth of a short life, at least a minute."""
    return max(60, min(longest, (certificate.not_after - certificate.not_before + 1) // 24))


def _place(serial: int) -> float:
    """A number from 0 up to 1 that belongs to this serial for ever."""
    return int.from_bytes(hashlib.sha256(serial_hex(serial).encode()).digest()[:8]) / 2**64
