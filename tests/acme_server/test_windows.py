"""When to renew: arithmetic over life and serial (RFC 9773 §4.2)."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acme_server import windows
from acme_server.windows import Window
from ca.records import Certificate

NOW = 1_800_000_000
DAY = 86400


def certificate(serial: int, life: int = 90 * DAY) -> Certificate:
    return Certificate("issuing-g1", serial, b"", "", "server", (), NOW, NOW + life - 1, NOW)


@given(st.integers(1, 2**159), st.integers(60, 400 * DAY))
def test_A35_a_window_opens_and_closes_within_the_life(serial: int, life: int) -> None:
    window = windows.usual(certificate(serial, life))
    assert NOW < window.start < window.end < NOW + life - 1
    assert windows.usual(certificate(serial, life)) == window


@pytest.mark.parametrize(("life", "latest"), [(90 * DAY, 60 * DAY), (6 * DAY, 3 * DAY), (399 * DAY, 266 * DAY)])
def test_A35_windows_of_one_hour_are_spread_over_a_twelfth_of_the_life(life: int, latest: int) -> None:
    starts = [windows.usual(certificate(serial, life)).start - NOW for serial in range(1, 1001)]
    assert latest - life / 12 <= min(starts) <= max(starts) <= latest
    assert latest - min(starts) > life / 12 * 0.95
    halves = Counter(start < latest - life / 24 for start in starts)
    assert 400 < halves[True] < 600


def test_A35_a_revoked_certificate_s_window_is_over() -> None:
    window = windows.past(NOW)
    assert window.start < window.end < NOW


@given(st.integers(0, 2000), st.floats(0.1, 500))
def test_A35_in_an_incident_no_more_windows_open_than_can_be_issued(count: int, rate: float) -> None:
    found = list(windows.spread(count, rate, NOW))
    assert len(found) == count
    assert all(one.start < one.end for one in found)
    assert all(first.start <= second.start for first, second in pairwise(found))
    opened = Counter(one.start for one in found)
    assert not opened or max(opened.values()) <= rate + 1
    assert not found or found[-1].start - NOW <= count / rate


@pytest.mark.parametrize("rate", [0, -1])
def test_no_rate_is_no_plan(rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        list(windows.spread(1, rate, NOW))


@pytest.mark.parametrize(("life", "wanted"), [(90 * DAY, 21600), (6 * 3600, 900), (600, 60)])
def test_A35_a_short_life_is_looked_at_more_often(life: int, wanted: int) -> None:
    assert windows.look_again(certificate(1, life), 21600) == wanted


def test_windows_are_values() -> None:
    assert Window(1, 2) == Window(1, 2)
