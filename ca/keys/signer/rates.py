"""How much a peer may have signed: a bucket of tokens against a flood, and a ceiling for the day against a slow theft.

Counted for each peer, key and kind by itself, in memory: a restart of the signer begins anew.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock

import structlog

from ca.clock import Clock
from ca.config import Rates as Configured
from ca.errors import HSMBusy, SigningRefused
from ca.records import SignKind

log = structlog.get_logger()

BURST_SECONDS = 5
"""A bucket holds so many seconds' worth."""

_DAY = 86400


@dataclass(frozen=True, slots=True)
class Rate:
    """What one kind of signature may reach."""

    per_second: int
    per_day: int


def configured(rates: Configured) -> Mapping[SignKind, Rate]:
    """The rates of the configuration, by kind."""
    values = rates.model_dump()
    return {kind: Rate(values[f"{kind}_per_second"], values[f"{kind}_per_day"]) for kind in SignKind}


@dataclass(slots=True)
class _Spent:
    """One peer's use of one key for one kind."""

    tokens: float
    at: float
    day: int = 0
    today: int = 0


class Rates:
    """The counts of one signer. Thread-safe. `ticks` is a monotonic clock in seconds."""

    def __init__(
        self, rates: Mapping[SignKind, Rate], clock: Clock, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._rates = rates
        self._clock = clock
        self._ticks = ticks
        self._spent: dict[tuple[int, str, SignKind], _Spent] = {}
        self._lock = Lock()

    def spend(self, peer: int, key: str, kind: SignKind) -> None:
        """Counts one signature. Raises `HSMBusy` above the rate and `SigningRefused` above the day's ceiling."""
        rate = self._rates[kind]
        with self._lock:
            spent = self._refilled(peer, key, kind, rate)
            if spent.tokens < 1:
                raise HSMBusy(
                    f"More than {rate.per_second} of the kind {kind} a second are asked for with {key}.",
                    next_step=f"Nothing was signed; ask again in a moment, or raise signer.rates.{kind}_per_second.",
                )
            if spent.today >= rate.per_day:
                self._ceiling(peer, key, kind, rate)
            spent.tokens -= 1
            spent.today += 1

    def _refilled(self, peer: int, key: str, kind: SignKind, rate: Rate) -> _Spent:
        now, day, full = self._ticks(), self._clock() // _DAY, float(rate.per_second * BURST_SECONDS)
        spent = self._spent.setdefault((peer, key, kind), _Spent(full, now))
        spent.tokens = min(full, spent.tokens + (now - spent.at) * rate.per_second)
        spent.at = now
        if day != spent.day:
            spent.day, spent.today = day, 0
        return spent

    def _ceiling(self, peer: int, key: str, kind: SignKind, rate: Rate) -> None:
        log.critical("ceiling.reached", peer=peer, key=key, kind=kind.value, per_day=rate.per_day)
        raise SigningRefused(
            f"The user with uid {peer} has had {rate.per_day} of the kind {kind} signed with {key} today.",
            next_step="Find out who asks for so many, or raise signer.rates. Nothing was signed.",
        )
