"""How long the newest calls took."""

import pytest

from ca.keys.signer.timings import Timings


def test_median_and_95th_percentile_of_each_kind() -> None:
    timings = Timings()
    for number in range(100):
        timings.add("certificate", number / 100)
    timings.add("crl", 2.0)
    times = timings.summary()
    assert (times["certificate"].median, times["certificate"].p95) == (0.5, 0.95)
    assert (times["crl"].median, times["crl"].p95) == (2.0, 2.0)


def test_only_the_newest_count_and_failures_count_too() -> None:
    timings = Timings()
    for _ in range(600):
        timings.add("certificate", 9.0)
    for _ in range(512):
        with pytest.raises(ZeroDivisionError), timings.timing("certificate"):
            raise ZeroDivisionError
    assert timings.summary()["certificate"].p95 < 1
