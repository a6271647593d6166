"""Where PINs come from, and that a refused one is never tried again by itself."""

import os
from pathlib import Path

import pytest

from ca.errors import ConfigError, HSMUnavailable, PinRefused
from ca.keys.pin import RefusedPin, read_pin


@pytest.fixture
def pin_file(tmp_path: Path) -> Path:
    path = tmp_path / "pin"
    path.write_text("1234\n")
    path.chmod(0o600)
    return path


def test_a_pin_comes_from_file_environment_or_credential(
    pin_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OUR_PIN", "5678")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_pin("file:pin", tmp_path) == "1234"
    assert read_pin(f"file:{pin_file}", Path("/elsewhere")) == "1234"
    assert read_pin("env:OUR_PIN", tmp_path) == "5678"
    assert read_pin("credential:pin", Path("/elsewhere")) == "1234"


def test_a_pin_that_others_can_read_is_refused(pin_file: Path, tmp_path: Path) -> None:
    pin_file.chmod(0o640)
    with pytest.raises(HSMUnavailable) as raised:
        read_pin("file:pin", tmp_path)
    assert raised.value.next_step == f"Run: chmod 600 {pin_file}"


def test_a_credential_that_systemd_opens_by_an_acl_is_read(
    pin_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The mask of an ACL stands where the group's bits are."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    pin_file.chmod(0o440)
    assert read_pin("credential:pin", tmp_path) == "1234"
    for mode in (0o444, 0o460):
        pin_file.chmod(mode)
        with pytest.raises(HSMUnavailable):
            read_pin("credential:pin", tmp_path)


@pytest.mark.parametrize("source", ["file:absent", "env:OUR_ABSENT_PIN", "credential:absent", "file:"])
def test_a_missing_pin_says_where_it_was_looked_for(source: str, tmp_path: Path) -> None:
    with pytest.raises(HSMUnavailable):
        read_pin(source, tmp_path)


@pytest.mark.parametrize("source", ["1234", "", "prompt:now"])
def test_an_unknown_source_is_a_mistake_and_is_not_shown(source: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        read_pin(source, tmp_path)
    assert "file:PATH" in raised.value.next_step


def test_a_refused_pin_is_remembered_over_restarts_and_another_is_tried(tmp_path: Path) -> None:
    path = tmp_path / "pin-refused.json"
    RefusedPin(path).check("1234")
    RefusedPin(path).remember("1234")
    again = RefusedPin(path)
    with pytest.raises(PinRefused) as raised:
        again.check("1234")
    assert "1234" not in str(raised.value)
    again.check("4321")
    with pytest.raises(PinRefused):
        again.check("1234")
    again.forget()
    again.check("1234")
    assert not path.exists()


def test_the_memory_does_not_hold_the_pin(tmp_path: Path) -> None:
    path = tmp_path / "pin-refused.json"
    RefusedPin(path).remember("73316492")
    assert b"73316492" not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["pin-refused.json"]


def test_a_damaged_memory_refuses_every_pin(tmp_path: Path) -> None:
    """It cannot say which PIN it was: an operator decides, the token's tries are not spent."""
    path = tmp_path / "pin-refused.json"
    path.write_bytes(b"{")
    with pytest.raises(PinRefused):
        RefusedPin(path).check("1234")
