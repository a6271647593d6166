"""Policy that gets weaker: each rule both ways, and what holds meanwhile."""

from pathlib import Path

import pytest

from ca.config import SECURITY_KEYS, Config, load
from ca.names import parse_dns, reserved
from ca.sections import seconds
from ca.weakening import ENTRY_RULES, RULES, Weakening, hold, legible, policy_of, weakenings

SIGN_ON = 'issuer = "https://id.test"\nclient_id = "c"\nroles = {viewer = ["a"]}\n'

WEAKER = (
    ("approvals", "commands = true", "commands = false"),
    ("ca", 'issuer = "narrow"', 'issuer = "wide"'),
    ("ca", 'permitted_names = ["a.test"]', ""),
    ("ca", 'permitted_names = ["a.test"]', 'permitted_names = ["a.test", "b.test"]'),
    ("ca", 'permitted_names = ["b.a.test"]', 'permitted_names = ["a.test"]'),
    ("ca", 'permitted_names = ["10.0.0.0/16"]', 'permitted_names = ["10.0.0.0/8"]'),
    ("ca", 'reserved_names = ["pki.test"]', ""),
    ("acme", "external_account_required = true", ""),
    ("acme", 'profiles = ["server"]', 'profiles = ["server", "client"]'),
    ("acme", 'challenges = ["dns-01"]', 'challenges = ["dns-01", "http-01"]'),
    ("acme", 'caa = "on"', ""),
    ("acme", 'caa_identities = ["a.test"]', 'caa_identities = ["other.test"]'),
    ("acme", "", "subdomains = true"),
    ("acme", 'authorization_life = "1h"', 'authorization_life = "2h"'),
    ("acme.star", "", "enabled = true"),
    ("acme.star", 'max_duration = "7d"', 'max_duration = "8d"'),
    ("acme.star", "", "allow_certificate_get = true"),
    ("acme.limits", "orders_per_account = 10", "orders_per_account = 11"),
    ("acme.limits", "orders_per_name = 10", "orders_per_name = 0"),
    ("acme.limits", "accounts_per_address = 1", "accounts_per_address = 2"),
    ("acme.limits", "failures = 5", "failures = 0"),
    ("server", "", 'trusted_proxies = ["10.0.0.0/8"]'),
    ("ui", 'session_idle = "5m"', 'session_idle = "6m"'),
    ("ui", 'session_life = "1h"', 'session_life = "2h"'),
    ("ui", 'fresh = "1m"', 'fresh = "2m"'),
    ("ui.oidc", "", SIGN_ON),
    ("ui.oidc", SIGN_ON, SIGN_ON.replace("id.test", "other.test")),
    ("ui.oidc", SIGN_ON, SIGN_ON.replace('"a"', '"a", "b"')),
    ("ui.oidc", SIGN_ON, SIGN_ON + 'name_claim = "email"\n'),
    ("ui.oidc", SIGN_ON, SIGN_ON + 'teams = {pay = ["a"]}\n'),
    ("ui.client_certificates", "", 'listen = "127.0.0.1:9443"'),
    ("profiles.p", "", 'key_types = ["ec-p256"]'),
    ("profiles.p", 'key_types = ["ec-p256"]', 'key_types = ["ec-p256", "rsa-2048"]'),
    ("profiles.p", 'extended_key_usage = ["serverAuth"]', 'extended_key_usage = ["serverAuth", "clientAuth"]'),
    ("profiles.p", 'name_kinds = ["dns"]', 'name_kinds = ["dns", "ip"]'),
    ("profiles.p", 'permitted_names = ["*.a.test"]', 'permitted_names = ["**.a.test"]'),
    ("profiles.p", 'permitted_names = ["*.a.test"]', 'validity = "90d"'),
    ("profiles.p", "allow_wildcard = false", "allow_wildcard = true"),
    ("profiles.p", 'validity = "10d"', 'validity = "11d"'),
    ("profiles.p", 'validity = "10d"', 'validity = "10d"\nmax_validity = "11d"'),
    ("profiles.p", "backdate = 10", "backdate = 11"),
    ("profiles.p", 'validity = "5d"', 'validity = "5d"\nno_revocation = true'),
    ("roles.r", "", 'rights = ["see"]'),
    ("roles.r", 'rights = ["see"]', 'rights = ["see", "issue"]'),
)
"""Table of the file, what stood in it and what stands in it then; with nothing before, a named entry was not there."""

EITHER_WAY = {"ca.issuer", "acme.caa_identities", "ui.oidc"}
"""Of which neither of two values is the stricter one."""

NOT_POLICY = {
    "mode": "a demo's keys are never promoted, and a production CA that calls itself one fails its own checks",
    "users": "who owns which files: nothing starts that does not fit them",
    "hsm": "read by the signer, which has no records",
    "signer": "read by the signer, which has no records",
    "acme.validation": "read by the fetcher, which has no records",
    "backup.recipients": "whoever makes a backup may name further recipients at the command",
    "targets": "where publications go; they are public",
    "channels": "where notices go; they say what the home page says",
}


def configure(folder: Path, table: str, lines: str, more: str = "") -> Config:
    file = folder / "certwright.toml"
    head = f'mode = "demo"\n{more}\n'
    if table.startswith("profiles.") and not more:
        head += "[profiles.server]\n"
    absent = table.startswith(("profiles.", "roles.")) and not lines
    file.write_text(head if absent else f"{head}[{table}]\n{lines}\n")
    return load(file)


@pytest.mark.parametrize(("table", "before", "after"), WEAKER)
def test_what_is_weaker_keeps_its_approved_value_and_what_is_stricter_holds(
    tmp_path: Path, table: str, before: str, after: str
) -> None:
    strict, loose = configure(tmp_path, table, before), configure(tmp_path, table, after)
    known = policy_of(strict)
    held, found = hold(loose, known)
    assert found
    assert all(one.key.startswith(table) for one in found)
    assert policy_of(held) == {key: value for key, value in known.items() if key in policy_of(held)}
    if not {one.key for one in found} & EITHER_WAY or not before:
        assert hold(strict, policy_of(loose)) == (strict, ())
    assert hold(loose, policy_of(loose)) == (loose, ())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('names = ["pki.test"]', ""),
        ('public_url = "https://pki.test"', 'public_url = "https://elsewhere.test"'),
        ('status_url = "http://pki.test"', 'status_url = "http://elsewhere.test"'),
    ],
)
def test_a_name_of_the_own_doors_stays_reserved_when_they_move(tmp_path: Path, before: str, after: str) -> None:
    """Whoever moves a door would have its old name, which clients still go to, certified for himself."""
    approved = policy_of(configure(tmp_path, "server", before))
    held, found = hold(configure(tmp_path, "server", after), approved)
    assert [one.key for one in found] == ["ca.reserved_names"]
    (pki,) = [one for one in reserved(held) if str(one) == "pki.test"]
    assert pki.touches(parse_dns("pki.test"))
    assert f"{held.server.public_url}{held.server.status_url}".count("elsewhere") == after.count("elsewhere")


def test_what_became_policy_with_a_newer_version_is_taken_as_it_is(tmp_path: Path) -> None:
    now = configure(tmp_path, "ca", 'issuer = "one"')
    before = {key: value for key, value in policy_of(now).items() if key != "ca.issuer"}
    assert hold(now, before) == (now, ())


def test_every_rule_is_tried() -> None:
    tried = {table for table, *_ in WEAKER}
    named = {
        f"{table}.{'p' if table == 'profiles' else 'r'}.{field}"
        for table in ENTRY_RULES
        for field in ENTRY_RULES[table]
    }
    text = " ".join(f"{table}.{line}" for table, *both in WEAKER for one in both for line in one.split("\n"))
    wanted = {*RULES, *named} - {"approvals.policy"}
    assert {key for key in wanted if key not in tried and f"{key} " not in text} == set()


def test_every_security_key_is_policy_or_said_not_to_be() -> None:
    policy = {key for key in SECURITY_KEYS if any(f"{one}.".startswith(f"{key}.") for one in (*RULES, *ENTRY_RULES))}
    assert policy | set(NOT_POLICY) == set(SECURITY_KEYS)
    assert not policy & set(NOT_POLICY)


def test_every_field_of_a_profile_and_a_role_is_judged_but_its_description() -> None:
    from ca.config import ProfileConfig
    from ca.console import RoleConfig

    assert set(ENTRY_RULES["profiles"]) == set(ProfileConfig.model_fields) - {"description"}
    assert set(ENTRY_RULES["roles"]) == set(RoleConfig.model_fields) - {"description"}


def test_only_what_became_weaker_waits(tmp_path: Path) -> None:
    before = configure(tmp_path, "profiles.p", 'validity = "10d"\nallow_wildcard = true')
    after = configure(tmp_path, "profiles.p", 'validity = "20d"\nallow_wildcard = false')
    held, found = hold(after, policy_of(before))
    assert [one.key for one in found] == ["profiles.p.max_validity", "profiles.p.validity"]
    assert (held.profiles["p"].validity, held.profiles["p"].allow_wildcard) == (864000, False)
    assert weakenings(policy_of(before), policy_of(held)) == ()


def test_acme_goes_on_offering_a_profile_that_was_removed_while_its_successor_waits(tmp_path: Path) -> None:
    before = configure(tmp_path, "profiles.p", "", 'acme.profiles = ["p"]\nprofiles."p" = {}\nprofiles.q = {}\n')
    after = configure(tmp_path, "profiles.p", "", 'acme.profiles = ["q"]\nprofiles.q = {}\n')
    held, found = hold(after, policy_of(before))
    assert found == (Weakening("acme.profiles", ["p"], ["q"]),)
    assert held.acme.profiles == ["p"]
    assert held.profiles["p"].key_types == before.profiles["p"].key_types


def test_a_profile_with_a_dot_in_its_name_is_one_entry(tmp_path: Path) -> None:
    before = configure(tmp_path, "profiles.p", "", 'profiles."a.b" = {validity = "1d"}\n')
    after = configure(tmp_path, "profiles.p", "", 'profiles."a.b" = {validity = "2d"}\nprofiles."a.c" = {}\n')
    held, found = hold(after, policy_of(before))
    assert {one.key for one in found} >= {"profiles.a.b.validity", "profiles.a.c.key_types"}
    assert set(held.profiles) == {"a.b"}
    assert held.profiles["a.b"].validity == 86400


def test_names_that_cannot_be_read_are_weaker(tmp_path: Path) -> None:
    loose = policy_of(configure(tmp_path, "ca", 'permitted_names = ["a.test"]'))
    assert "ca.permitted_names" in {one.key for one in weakenings({"ca.permitted_names": ["**bad**"]}, loose)}


@pytest.mark.parametrize("value", [0, 59, 60, 5400, 86400, 90 * 86400 + 61])
def test_times_are_shown_as_the_file_says_them(value: int) -> None:
    assert seconds(legible(value, "profiles.p.validity")) == value
    assert legible(None, "profiles.p.validity") == "not there"
    assert legible(["a"], "acme.profiles") == '["a"]'
