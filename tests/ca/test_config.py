"""The configuration: what may come from the environment, what may not, and errors that name the key."""

import json
from pathlib import Path

import pytest

from ca.config import SECURITY_KEYS, load
from ca.errors import ConfigError
from ca.people import Right

PRODUCTION = 'mode = "production"\n[ca]\npermitted_names = ["corp.example"]\n'
DEMO = 'mode = "demo"\n[ca]\npermitted_names = ["test"]\n'
VALUES: dict[str, object] = {
    "mode": "demo",
    "hsm": {"token_label": "other"},
    "users": {"web": "root"},
    "signer": {"longest_life": 3650 * 86400, "rates": {"certificate_per_day": 1_000_000_000}},
    "ca.permitted_names": [],
    "ca.reserved_names": [],
    "acme.external_account_required": "false",
    "acme.validation": {"allow_networks": ["127.0.0.0/8"], "deny_networks": [], "resolvers": ["127.0.0.1:53"]},
    "server.trusted_proxies": ["0.0.0.0/0"],
    "backup.recipients": ["age1qyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqs3290gq"],
    "targets": {"mine": {"kind": "folder", "path": "/tmp/mine"}},
    "channels": {"mine": {"kind": "chat", "url_file": "/tmp/mine"}},
    "ui.client_certificates": {"ca_file": "/tmp/mine.pem"},
    "ui.oidc": {"issuer": "https://mine.example", "client_id": "x", "roles": {"administrator": ["everybody"]}},
    "approvals": {"commands": True},
    "roles": {"mine": {"rights": ["see", "approve", "see-people"]}},
    "profiles": {"server": {"permitted_names": ["**.example"]}},
}


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CERTWRIGHT_CONFIG", raising=False)
    return tmp_path / "certwright.toml"


def _spellings(key: str) -> dict[str, str]:
    """Each variable by which the environment could set this key: its own, and the JSON of every section above it."""
    found: dict[str, str] = {}
    value, parts = VALUES[key], key.split(".")
    while parts:
        text = value if isinstance(value, str) else json.dumps(value)
        found["CERTWRIGHT_" + "__".join(parts).upper()] = str(text)
        value = {parts.pop(): value}
    return found


def test_every_security_key_has_a_value_here() -> None:
    assert set(VALUES) == set(SECURITY_KEYS)


@pytest.mark.parametrize(
    ("variable", "value"), [one for key in VALUES for one in _spellings(key).items()], ids=lambda text: text[:50]
)
def test_in_production_security_keys_come_from_the_file_alone(
    write: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """CONTRACT.md: neither by their own name, in any case, nor hidden in the JSON of a section above."""
    write.write_text(PRODUCTION)
    for spelled in (variable, variable.lower()):
        monkeypatch.setenv(spelled, value)
        with pytest.raises(ConfigError, match=variable):
            load(write)
        monkeypatch.delenv(spelled)
    assert load(write).ca.permitted_names == ["corp.example"]


def test_no_letter_that_becomes_another_in_lower_case_hides_a_key(write: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KELVIN SIGN is k in lower case, by which variables are found, and stays itself in upper case."""
    write.write_text(PRODUCTION)
    monkeypatch.setenv("CERTWRIGHT_BAC\N{KELVIN SIGN}UP__RECIPIENTS", '["age1mine"]')
    with pytest.raises(ConfigError, match="from the file alone"):
        load(write)


def test_settings_in_the_environment_win_over_the_file(write: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write.write_text(DEMO)
    monkeypatch.setenv("CERTWRIGHT_ACME__VALIDATION__RESOLVERS", '["127.0.0.1:8053"]')
    monkeypatch.setenv("CERTWRIGHT_ACME__VALIDATION__ALLOW_NETWORKS", '["127.0.0.0/8"]')
    config = load(write)
    assert config.acme.validation.resolvers == ["127.0.0.1:8053"]
    assert config.acme.validation.allow_networks == ["127.0.0.0/8"]


def test_what_is_no_json_is_an_error_with_the_key(write: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write.write_text(DEMO)
    monkeypatch.setenv("CERTWRIGHT_ACME__VALIDATION__RESOLVERS", "127.0.0.1:8053")
    with pytest.raises(ConfigError, match="acme") as refused:
        load(write)
    assert "JSON" in refused.value.next_step


def test_O05_a_responder_lives_at_least_twice_as_long_as_its_answers(write: Path) -> None:
    write.write_text(DEMO + "ocsp_life = 172800\n[signer]\nresponder_days = 4\n")
    load(write)
    write.write_text(DEMO + "ocsp_life = 172800\n[signer]\nresponder_days = 3\n")
    with pytest.raises(ConfigError, match="responder_days"):
        load(write)


def test_a_wrong_key_is_named_with_the_nearest_one(write: Path) -> None:
    write.write_text("[ca]\nocsp_lif = 3600\n")
    with pytest.raises(ConfigError, match=r"ca\.ocsp_life"):
        load(write)


WRONG: list[tuple[str, object, str]] = [
    ("server.https_listen", "junk", "no address to listen on"),
    ("server.https_listen", "127.0.0.1:70000", "HOST:PORT"),
    ("server.http_listen", ":8080", "HOST:PORT"),
    ("server.http_listen", "::1:8080", r"\[IPV6\]:PORT"),
    ("server.metrics_listen", "127.0.0.1", "HOST:PORT"),
    ("server.public_url", "http://ca.test", "https://HOST"),
    ("server.public_url", "https://ca.test/", "https://HOST:PORT"),
    ("server.public_url", "https://user@ca.test", "no URL"),
    ("server.status_url", "https://status.test", "http://HOST"),
    ("server.status_url", "http://status.test/pki/", "without a slash"),
    ("server.status_url", "http://300.1.1.1", "no URL"),
    ("server.trusted_proxies", ["10.0.0.0/33"], "no network"),
    ("database.url", "mysql://ca:secret@db/ca", "sqlite:///PATH"),
    ("database.url", "sqlite://state/x.sqlite", "three slashes"),
    ("database.migrate_url", "postgresql://", "postgresql://USER@HOST/NAME"),
    ("acme.website", "javascript:alert(1)", "no URL"),
    ("acme.terms_of_service", "https://terms .test", "no URL"),
    ("acme.validation.resolvers", ["dns.test:53"], "no DNS server"),
    ("acme.validation.allow_networks", ["loopback"], "no network"),
    ("acme.validation.deny_networks", ["10.0.0.0/8", "x"], "no network"),
    ("audit.witnesses", ["witness"], "no URL"),
]


@pytest.mark.parametrize(("key", "value", "words"), WRONG, ids=[f"{key}={value}" for key, value, _ in WRONG])
def test_places_are_looked_at_when_the_file_is_read(write: Path, key: str, value: object, words: str) -> None:
    section, _, name = key.rpartition(".")
    write.write_text(f"mode = 'demo'\n[{section}]\n{name} = {json.dumps(value)}\n")
    with pytest.raises(ConfigError, match=f"{key}.*{words}") as refused:
        load(write)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("server.https_listen", "[::1]:8443"),
        ("server.http_listen", "0.0.0.0:80"),
        ("server.metrics_listen", ""),
        ("server.public_url", "https://[2001:db8::1]:8443"),
        ("server.status_url", "http://pki.corp.test/status"),
        ("server.trusted_proxies", ["192.0.2.7", "2001:db8::/32"]),
        ("database.url", "postgresql:///certwright?host=/run/postgresql"),
        ("database.url", "sqlite:////var/lib/certwright/certwright.sqlite"),
        ("acme.validation.resolvers", ["10.0.0.53", "[fd00::53]:53"]),
    ],
)
def test_places_that_can_be_used(write: Path, key: str, value: object) -> None:
    section, _, name = key.rpartition(".")
    write.write_text(f"mode = 'demo'\n[{section}]\n{name} = {json.dumps(value)}\n")
    found: object = load(write)
    for part in key.split("."):
        found = getattr(found, part)
    assert found == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[roles.help]\nrights = ["see", "fly"]', "roles.help.rights"),
        ('[roles.help]\nrights = ["issue"]', "without see it opens nothing"),
        ("[roles.help]\nrights = []", "without see it opens nothing"),
        ('[roles.help]\nrights = ["see", "revoke"]', "revoke needs revoke-own beside it"),
        ('[roles.help]\nrights = ["see", "approve"]', "approve needs see-people beside it"),
        ("[roles.help]", "rights"),
        ('[roles.viewer]\nrights = ["see", "run-jobs"]', "roles.viewer is built in"),
        ('[roles."<b>"]\nrights = ["see"]', "roles"),
        ('[roles."help\\u202e"]\nrights = ["see"]', "roles"),
        ('[ui.oidc]\nissuer = "https://x.test"\nclient_id = "x"\nroles = { king = ["all"] }', "king is none of"),
    ],
)
def test_a_role_that_would_be_none_is_refused(write: Path, text: str, says: str) -> None:
    write.write_text(text)
    with pytest.raises(ConfigError, match=says):
        load(write)


def test_roles_of_the_configuration_stand_beside_the_others(write: Path) -> None:
    write.write_text(
        '[roles.help-desk]\nrights = ["see", "revoke-own"]\n'
        '[ui.oidc]\nissuer = "https://x.test"\nclient_id = "x"\nroles = { help-desk = ["desk"] }'
    )
    found = load(write)
    assert list(found.every_role)[-2:] == ["administrator", "help-desk"]
    assert found.every_role["help-desk"] == {Right.SEE, Right.REVOKE_OWN}
