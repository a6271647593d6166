"""Rates: a bucket a second, a ceiling a day, each for one peer, key and kind."""

import pytest

from ca.config import Config
from ca.errors import HSMBusy, SigningRefused
from ca.keys.signer.rates import BURST_SECONDS, Rate, Rates, configured
from ca.records import SignKind

OCSP, CRL = SignKind.OCSP, SignKind.CRL


class Time:
    now = 1_800_000_000.0

    def clock(self) -> int:
        return int(self.now)

    def ticks(self) -> float:
        return self.now


def make(per_second: int, per_day: int) -> tuple[Rates, Time]:
    time = Time()
    return Rates(dict.fromkeys(SignKind, Rate(per_second, per_day)), time.clock, time.ticks), time


def spend(rates: Rates, times: int, peer: int = 7, key: str = "k", kind: SignKind = OCSP) -> None:
    for _ in range(times):
        rates.spend(peer, key, kind)


def test_a_flood_is_held_to_the_rate_and_passes() -> None:
    rates, time = make(10, 1000)
    spend(rates, 10 * BURST_SECONDS)
    with pytest.raises(HSMBusy, match="a second"):
        spend(rates, 1)
    time.now += 1
    spend(rates, 10)
    with pytest.raises(HSMBusy):
        spend(rates, 1)


@pytest.mark.parametrize("other", [{"peer": 8}, {"key": "j"}, {"kind": CRL}])
def test_a_flood_stops_nobody_else(other: dict[str, object]) -> None:
    rates, _ = make(1, 1000)
    spend(rates, BURST_SECONDS)
    with pytest.raises(HSMBusy):
        spend(rates, 1)
    spend(rates, 1, **other)  # type: ignore[arg-type]


def test_a_slow_theft_meets_the_days_ceiling() -> None:
    rates, time = make(10, 20)
    for _ in range(20):
        spend(rates, 1)
        time.now += 60
    with pytest.raises(SigningRefused, match="uid 7 has had 20 of the kind ocsp"):
        spend(rates, 1)
    time.now += 86400
    spend(rates, 20)


def test_every_kind_is_configured() -> None:
    rates = configured(Config().signer.rates)
    assert set(rates) == set(SignKind)
    assert rates[SignKind.CRL] == Rate(500, 1_000_000)
