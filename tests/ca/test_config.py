"""The configuration: what may come from the environment, what may not, and errors that name the key."""

import json
from pathlib import Path

import pytest

from ca.config import SECURITY_KEYS, load
from ca.errors import ConfigError

PRODUCTION = 'mode = "production"\n[ca]\npermitted_names = ["corp.example"]\n'
DEMO = 'mode = "demo"\n[ca]\npermitted_names = ["test"]\n'
VALUES: dict[str, object] = {
    "mode": "demo",
    "hsm": {"token_label": "other"},
    "signer.longest_life": 3650 * 86400,
    "signer.rates": {"certificate_per_day": 1_000_000_000},
    "ca.permitted_names": [],
    "acme.validation.allow_networks": ["127.0.0.0/8"],
    "acme.validation.deny_networks": [],
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
