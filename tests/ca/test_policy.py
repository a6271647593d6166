"""Policy: who may have which certificate. Every rule denies by default."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ca.config import Config, ProfileConfig
from ca.errors import BadPublicKey, PolicyDenied
from ca.names import parse_any
from ca.policy import Policy
from ca.profiles import compile_all
from ca.records import SYSTEM, Actor, IssueRequest

ACCOUNT = Actor("account", "1", "jws")
PROFILES = {
    "server": ProfileConfig(allow_wildcard=True),
    "plain": ProfileConfig(name_kinds=["dns"], key_types=["ec-p256"]),
    "team": ProfileConfig(name_kinds=["dns", "uri"], permitted_names=["**.team.test", "spiffe://example.test/team/**"]),
}


@pytest.fixture(scope="module")
def config() -> Config:
    return Config(
        mode="demo",
        server={"public_url": "https://ca.test", "names": ["10.0.0.2"]},  # type: ignore[arg-type]
        ca={"permitted_names": ["test", "10.0.0.0/8", "spiffe://example.test"], "reserved_names": ["**.admin.test"]},  # type: ignore[arg-type]
        profiles=PROFILES,
        acme={"profiles": ["server"]},  # type: ignore[arg-type]
    )


@pytest.fixture
def permit(config: Config, hierarchy: Any, spki: Callable[[str], bytes]) -> Callable[..., None]:
    profiles = compile_all(config)
    policy = Policy(config, profiles)

    def ask(*names: str, profile: str = "server", actor: Actor = ACCOUNT, key: str = "ec-p256", **more: Any) -> None:
        request = IssueRequest(spki(key), tuple(map(parse_any, names)), profile, actor, **more)
        policy.permit(request, profiles[profile], hierarchy.issuing, hierarchy.now)

    return ask


@pytest.mark.parametrize(
    ("names", "fields"),
    [
        (["a.test"], {}),
        (["a.test", "10.1.2.3"], {}),
        (["*.b.test"], {}),
        (["a.team.test", "spiffe://example.test/team/x"], {"profile": "team"}),
        (["a.test", "b.test"], {"common_name": "b.test"}),
        (["a.test"], {"key": "ed25519"}),
        (["a.test"], {"validity": 86400}),
        (["ca.test", "10.0.0.2"], {"actor": SYSTEM}),
        (["ca.test"], {"actor": SYSTEM, "profile": "own"}),
    ],
)
def test_what_is_permitted(names: list[str], fields: dict[str, Any], permit: Callable[..., None]) -> None:
    permit(*names, **fields)


@pytest.mark.parametrize(
    ("names", "fields", "said"),
    [
        ([], {}, "No name"),
        (["a.test", "a.test"], {}, "twice"),
        (["a.example"], {}, "outside what this CA"),
        (["11.0.0.1"], {}, "outside what this CA"),
        (["spiffe://example.test/x"], {}, "kind uri"),
        (["10.0.0.1"], {"profile": "plain"}, "kind ip"),
        (["*.a.test"], {"profile": "plain"}, "wildcard"),
        (["a.test"], {"profile": "plain", "key": "ec-p384"}, "ec-p384"),
        (["a.test"], {"profile": "team"}, "outside the profile"),
        (["team.test"], {"profile": "team"}, "outside the profile"),
        (["spiffe://example.test/other"], {"profile": "team"}, "outside the profile"),
        (["ca.test"], {}, "reserved"),
        (["a.test", "ca.test"], {}, "reserved"),
        (["*.test"], {}, "reserved"),
        (["10.0.0.2"], {}, "reserved"),
        (["x.admin.test"], {}, "reserved"),
        (["*.admin.test"], {}, "reserved"),
        (["a.test"], {"common_name": "b.test"}, "common name"),
        (["a.test"], {"common_name": "A.test"}, "common name"),
        (["a" * 60 + ".test"], {"common_name": "a" * 60 + ".test"}, "common name"),
        (["a.test"], {"profile": "own"}, "Certwright itself"),
        (["a.test"], {"validity": 10**9}, "at most"),
    ],
)
def test_what_is_denied(names: list[str], fields: dict[str, Any], said: str, permit: Callable[..., None]) -> None:
    with pytest.raises(PolicyDenied, match=said):
        permit(*names, **fields)


@pytest.mark.parametrize("kind", ["account", "token", "operator", "ceremony", "", "System"])
def test_reserved_names_are_for_the_system_alone(kind: str, permit: Callable[..., None]) -> None:
    with pytest.raises(PolicyDenied, match="reserved"):
        permit("ca.test", actor=Actor(kind, "x"))


def test_a_weak_key_is_denied_here_too(permit: Callable[..., None]) -> None:
    with pytest.raises(BadPublicKey):
        permit("a.test", key="rsa-1024")


@pytest.mark.parametrize("change", [{"state": "retired"}, {"state": "pending"}, {"kind": "root"}])
def test_only_an_active_issuing_ca_issues(change: dict[str, str], config: Config, hierarchy: Any, spki: Any) -> None:
    profiles = compile_all(config)
    request = IssueRequest(spki("ec-p256"), (parse_any("a.test"),), "server", ACCOUNT)
    with pytest.raises(PolicyDenied, match="does not issue"):
        Policy(config, profiles).permit(
            request, profiles["server"], replace(hierarchy.issuing, **change), hierarchy.now
        )


def test_inc06_the_profile_that_is_judged_is_the_one_that_was_asked_for(
    config: Config, hierarchy: Any, spki: Any
) -> None:
    profiles = compile_all(config)
    request = IssueRequest(spki("ec-p256"), (parse_any("a.test"),), "plain", ACCOUNT)
    with pytest.raises(PolicyDenied):
        Policy(config, profiles).permit(request, profiles["server"], hierarchy.issuing, hierarchy.now)


def test_x12_the_issuers_certificate_has_the_last_word(hierarchy: Any, spki: Any) -> None:
    """A configuration that was widened after the ceremony widens nothing."""
    config = Config(mode="demo", ca={"permitted_names": ["example"]})  # type: ignore[arg-type]
    profiles = compile_all(config)
    request = IssueRequest(spki("ec-p256"), (parse_any("a.example"),), "server", ACCOUNT)
    with pytest.raises(PolicyDenied, match="name constraints of issuing-g1"):
        Policy(config, profiles).permit(request, profiles["server"], hierarchy.issuing, hierarchy.now)


def test_inc07_each_of_many_names_is_checked(permit: Callable[..., None]) -> None:
    """One bad name among a hundred good ones is found wherever it stands."""
    good = [f"a{i}.test" for i in range(100)]
    permit(*good)
    for place in (0, 50, 99):
        with pytest.raises(PolicyDenied, match=r"bad\.example"):
            permit(*good[:place], "bad.example", *good[place:])
