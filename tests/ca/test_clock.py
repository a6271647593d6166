"""The rule by which a wall clock is believed, on clocks that the test owns."""

import pytest

from ca.clock import LARGEST_SKEW, RENEWED, Reading, Trust, believed, best, skew, system_reading
from ca.errors import ClockWrong

START = Reading(1_800_000_000, 5000, "boot-1")
TRUST = Trust(START, START.wall)


def later(seconds: int, step: int = 0, boot_id: str = "boot-1") -> Reading:
    """So long after the start, with the wall clock stepped."""
    return Reading(START.wall + seconds + step, START.boot + seconds, boot_id)


@pytest.mark.parametrize("seconds", [0, 60, RENEWED, 400 * 86400])
@pytest.mark.parametrize("step", [0, 1, -1, 30, -30, LARGEST_SKEW, -LARGEST_SKEW])
def test_what_a_clock_does_in_good_health_is_sound(seconds, step):
    """Leap seconds, NTP's corrections, and a machine that slept: CLOCK_BOOTTIME counts the sleep."""
    assert skew(later(seconds, step), TRUST).sound


@pytest.mark.parametrize("step", [301, -301, 3600, -3600, 10 * 365 * 86400, -START.wall])
def test_a_step_of_more_than_five_minutes_is_not(step):
    found = skew(later(60, step), TRUST)
    assert found.seconds == step
    with pytest.raises(ClockWrong, match=r"s (ahead of|behind) the clock that counts") as raised:
        found.demand()
    assert "doctor clock" in raised.value.next_step
    assert best(later(60, step), TRUST) == START.wall + 60


def test_after_a_restart_of_the_machine_only_the_past_is_known():
    assert skew(later(0, 86400, "boot-2"), TRUST).sound, "it was switched off for a day"
    behind = later(0, -3600, "boot-2")
    assert skew(behind, TRUST).seconds == -3600
    assert "written down" in skew(behind, TRUST).against
    assert best(behind, TRUST) == START.wall, "time stands still rather than going back"


def test_what_was_written_down_counts_beside_the_boot_clock():
    found = skew(later(60), Trust(START, START.wall + 4000))
    assert found.seconds == -3940


def test_small_corrections_do_not_add_up_for_ever_and_a_fast_row_of_them_does():
    trust, step = TRUST, 0
    for day in range(1, 31):
        step += 60
        reading = later(day * RENEWED, step)
        assert skew(reading, trust).sound, day
        trust = believed(reading, trust)
    trust = TRUST
    for minute in range(1, 6):
        trust = believed(later(minute * 60, minute * 60), trust)
    assert not skew(later(360, 360), trust).sound


def test_believing_never_lowers_the_last_time():
    assert believed(later(0, -200), TRUST).last == START.wall


def test_this_machine_counts_from_its_start():
    one, two = system_reading(), system_reading()
    assert one.boot_id == two.boot_id
    assert 0 <= two.boot - one.boot <= 2
    assert 0 <= two.wall - one.wall <= 2
