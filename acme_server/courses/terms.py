"""What an order with auto-renewal asks for, and which certificate is due when: pure arithmetic (RFC 8739 §3.1, §3.5).

Certificates are numbered. Number i is due at `first + i * lifetime` and published PUBLISHED_AHEAD of a lifetime
earlier, so that who looks at half of each lifetime always finds the next one. It begins to be valid when it is
published, or earlier where the client wants more padding for clocks that differ.
"""

from dataclasses import dataclass, replace
from typing import Any

from acme_server.errors import Malformed
from ca.clock import rfc3339
from ca.profiles import CLOCK_TOLERANCE, Period
from ca.records import Certificate

PUBLISHED_AHEAD = (11, 20)
"""Of a lifetime: 0.55. RFC 8739 §3.5 wants 0.5 at least; the rest is for a scheduler that comes late."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The `auto-renewal` object of an order (§3.1.1): times in epoch seconds, lengths in seconds.

    `start` is 0 for "at once". `by_get` says that anybody may fetch the certificate.
    """

    start: int
    end: int
    lifetime: int
    adjust: int = 0
    by_get: bool = False

    @property
    def ahead(self) -> int:
        """How long before it is due a certificate is published."""
        return self.lifetime * PUBLISHED_AHEAD[0] // PUBLISHED_AHEAD[1]

    def first_of(self, certificate: Certificate) -> int:
        """When the first certificate was due, told by its own life."""
        whole = certificate.not_after < self.end
        return certificate.not_after - self.lifetime if whole else certificate.not_before

    def due(self, first: int, number: int) -> int:
        """The nominal renewal date (§3.5)."""
        return first + number * self.lifetime

    def publication(self, first: int, number: int) -> int:
        """When a certificate has to be there; 0 for one that would be due at the end or later: there is none."""
        due = self.due(first, number)
        return due - self.ahead if due < self.end else 0

    def number_at(self, first: int, now: int) -> int:
        """The certificate that is to be had by now: the last one whose publication has come."""
        last = (self.end - first - 1) // self.lifetime
        return min((now + self.ahead - first) // self.lifetime, last)

    def period(self, first: int, number: int, now: int, backdate: int) -> Period:
        """The life of a certificate that is made now; it begins by now, and at most `backdate` ago (§3.5).

        The first one never begins before the start.
        """
        due = self.due(first, number)
        earliest = max(due - max(self.adjust, self.ahead), now - backdate)
        start = min(now, earliest) if number else max(self.start or due, earliest)
        return Period(start, min(due + self.lifetime, self.end))

    def members(self) -> dict[str, Any]:
        """As the order shows them, after what this server adjusted."""
        found: dict[str, Any] = {"end-date": rfc3339(self.end), "lifetime": self.lifetime}
        if self.start:
            found["start-date"] = rfc3339(self.start)
        if self.adjust:
            found["lifetime-adjust"] = self.adjust
        if self.by_get:
            found["allow-certificate-get"] = True
        return found


@dataclass(frozen=True, slots=True)
class Bounds:
    """What this CA offers: `acme.star`, and the profile of the order. Lengths in seconds."""

    min_lifetime: int
    max_duration: int
    by_get: bool
    max_validity: int
    backdate: int


def granted(asked: Terms, bounds: Bounds, now: int) -> Terms:
    """The terms as this server grants them: with less padding where the profile backdates less (§3.1.1).

    Raises `Malformed`.
    """
    start = asked.start or now
    if asked.lifetime < bounds.min_lifetime:
        raise _refused(f"{asked.lifetime} s are a short lifetime.", f"Ask for {bounds.min_lifetime} s or more.")
    if asked.adjust < 0:
        raise _refused("lifetime-adjust is negative.", "Leave it out.")
    if start > now + CLOCK_TOLERANCE:
        raise _refused("The start-date lies ahead, and nothing is signed ahead.", "Order when it has come.")
    if asked.end <= max(start, now):
        raise _refused("The end-date is no later than the start, or over.", "Ask for a later one.")
    if asked.end - start > bounds.max_duration:
        raise _refused("The end-date is too far away.", f"Ask for {bounds.max_duration} s at most.")
    padding = min(asked.adjust, asked.lifetime, asked.ahead + bounds.backdate)
    longest = asked.lifetime + max(padding, asked.ahead) + 1
    if longest > bounds.max_validity:
        most = asked.lifetime * bounds.max_validity // longest
        raise _refused(f"With its padding that is a life of {longest} s.", f"Ask for a lifetime of {most} s at most.")
    return replace(asked, adjust=padding, by_get=asked.by_get and bounds.by_get)


def _refused(detail: str, next_step: str) -> Malformed:
    return Malformed(f"auto-renewal: {detail}", next_step=next_step)
