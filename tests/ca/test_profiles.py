"""Profiles: bad combinations never start, and lives are counted to the second (B-05, X-05, X-16, INC-08)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca.config import Config, ProfileConfig
from ca.errors import ConfigError, PolicyDenied
from ca.names import parse_any
from ca.profiles import OWN_PROFILE, Period, Profile, compile_all
from ca.records import SYSTEM, IssueRequest

DAY = 86400
NOW = 1_800_000_000
ISSUER = Period(NOW - 100 * DAY, NOW + 300 * DAY)


def profile(**fields: Any) -> Profile:
    return Profile.compile("x", ProfileConfig(**fields))


def request(**fields: Any) -> IssueRequest:
    return IssueRequest(b"", (parse_any("a.test"),), "x", SYSTEM, **fields)


def test_the_samples_compile_and_the_own_profile_is_there() -> None:
    profiles = compile_all(Config(mode="demo"))
    assert set(profiles) == {"server", "client", "mtls", "short-lived", OWN_PROFILE}
    assert profiles["short-lived"].no_revocation
    assert profiles["server"].max_validity == profiles["server"].validity


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"no_revocation": True, "validity": 8 * DAY}, "RFC 9608"),
        ({"no_revocation": True, "validity": DAY, "max_validity": 8 * DAY}, "RFC 9608"),
        ({"extended_key_usage": ["anyExtendedKeyUsage"]}, "anyExtendedKeyUsage"),
        ({"extended_key_usage": ["OCSPSigning"]}, "OCSPSigning"),
        ({"extended_key_usage": []}, "extended_key_usage is empty"),
        ({"key_types": ["rsa-1024"]}, "rsa-1024"),
        ({"key_types": []}, "key_types is empty"),
        ({"name_kinds": ["email"]}, "email"),
        ({"name_kinds": []}, "name_kinds is empty"),
        ({"name_kinds": ["ip"], "allow_wildcard": True}, "allow_wildcard"),
        ({"name_kinds": ["ip"], "permitted_names": ["a.test"]}, "name_kinds has no dns"),
        ({"permitted_names": ["a_b"]}, "permitted_names"),
        ({"validity": 0}, "validity"),
        ({"validity": 90 * DAY, "max_validity": 30 * DAY}, "below validity"),
        ({"validity": 4000 * DAY}, "ten years"),
        ({"validity": 3000, "backdate": 301}, "tenth"),
    ],
)
def test_a_bad_combination_is_refused_at_the_start(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        profile(**fields)


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as seen:
        profile(validity=0, key_types=["x"], name_kinds=["y"])
    assert all(word in str(seen.value) for word in ("validity", "'x'", "'y'", "profiles.x"))


def test_the_own_profile_cannot_be_redefined() -> None:
    with pytest.raises(ConfigError, match="product's own"):
        compile_all(Config(mode="demo", profiles={OWN_PROFILE: ProfileConfig(), "server": ProfileConfig()}))


def test_acme_offers_only_profiles_that_exist() -> None:
    with pytest.raises(ConfigError, match="serverr"):
        compile_all(Config(mode="demo", acme={"profiles": ["serverr"]}))  # type: ignore[arg-type]


def test_a_profile_that_the_signer_would_refuse_is_refused_at_the_door() -> None:
    long = ProfileConfig(validity=399 * 86400)
    with pytest.raises(ConfigError, match=r"profiles\.server: longer than signer\.longest_life"):
        compile_all(Config(mode="demo", profiles={"server": long}))
    assert compile_all(Config(mode="demo", profiles={"server": long}, signer={"longest_life": "400d"}))  # type: ignore[arg-type]


def test_the_own_certificate_lasts_no_longer_than_the_signer_lets_it() -> None:
    short = Config(mode="demo", profiles={"server": ProfileConfig(validity=86400)}, signer={"longest_life": "30d"})  # type: ignore[arg-type]
    assert compile_all(short)[OWN_PROFILE].max_validity == 30 * 86400


# --- lives --------------------------------------------------------------------------------------


def test_inc08_n_seconds_last_from_start_to_start_plus_n_minus_one() -> None:
    period = profile(validity=90 * DAY).period(request(), NOW, ISSUER)
    assert period == Period(NOW - 300, NOW - 300 + 90 * DAY - 1)
    assert period.seconds == 90 * DAY


def test_x05_what_the_profile_chose_ends_with_the_issuer() -> None:
    assert profile(validity=400 * DAY).period(request(), NOW, ISSUER).not_after == ISSUER.not_after


@pytest.mark.parametrize(
    "asked",
    [
        {"validity": 350 * DAY},
        {"not_after": ISSUER.not_after + 1},
        {"not_before": NOW, "not_after": ISSUER.not_after + 1},
        {"not_before": NOW, "validity": 350 * DAY},
    ],
)
def test_x05_what_the_asker_fixed_is_refused_beyond_the_issuer(asked: dict[str, int]) -> None:
    with pytest.raises(PolicyDenied):
        profile(validity=400 * DAY).period(request(**asked), NOW, ISSUER)


def test_a25_asked_times_are_honoured_to_the_second() -> None:
    period = profile().period(request(not_before=NOW - 7, not_after=NOW + 12345), NOW, ISSUER)
    assert period == Period(NOW - 7, NOW + 12345)
    assert profile().period(request(validity=DAY), NOW, ISSUER).seconds == DAY


def test_ninety_days_from_now_are_not_refused_for_the_backdating() -> None:
    period = profile(validity=90 * DAY).period(request(not_after=NOW + 90 * DAY - 1), NOW, ISSUER)
    assert period == Period(NOW, NOW + 90 * DAY - 1)
    with pytest.raises(PolicyDenied):
        profile(validity=90 * DAY).period(request(not_after=NOW + 90 * DAY), NOW, ISSUER)


@pytest.mark.parametrize(
    "asked",
    [
        {"not_before": NOW - 301},
        {"not_before": NOW + 301},
        {"not_after": NOW},
        {"not_after": NOW - DAY},
        {"not_before": NOW, "not_after": NOW - 1},
        {"validity": 91 * DAY},
        {"not_before": NOW - 300, "not_after": NOW + 90 * DAY},
    ],
)
def test_x16_b05_times_that_do_not_lie_around_now_or_last_too_long_are_refused(asked: dict[str, int]) -> None:
    with pytest.raises(PolicyDenied):
        profile(validity=90 * DAY).period(request(**asked), NOW, ISSUER)


def test_x16_no_leaf_begins_before_its_issuer() -> None:
    young = Period(NOW - 10, NOW + 300 * DAY)
    assert profile().period(request(), NOW, young).not_before == NOW - 10
    with pytest.raises(PolicyDenied):
        profile().period(request(not_before=NOW - 20), NOW, young)


def test_an_issuer_that_has_ended_issues_nothing() -> None:
    with pytest.raises(PolicyDenied):
        profile().period(request(), NOW, Period(NOW - DAY, NOW - 1))


@given(
    st.integers(600, 400 * DAY),
    st.integers(0, 400 * DAY),
    st.one_of(st.just(0), st.integers(NOW - 1000, NOW + 1000)),
    st.one_of(st.just(0), st.integers(NOW - 1000, NOW + 400 * DAY)),
)
def test_whatever_is_asked_the_life_keeps_every_bound_or_is_refused(
    own: int, validity: int, not_before: int, not_after: int
) -> None:
    kind = profile(validity=own, backdate=60)
    try:
        period = kind.period(request(validity=validity, not_before=not_before, not_after=not_after), NOW, ISSUER)
    except PolicyDenied:
        return
    assert ISSUER.not_before <= period.not_before <= NOW + 300
    assert NOW < period.not_after <= ISSUER.not_after
    assert period.seconds <= own
    assert not not_before or period.not_before == not_before
    assert not not_after or period.not_after == not_after
    assert not_before or NOW - period.not_before <= 60
