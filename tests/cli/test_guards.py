"""What the doctor says of users and settings, without a service."""

import pwd
from pathlib import Path

import pytest

from ca.config import Config, load
from ca.errors import ConfigError
from ca.users import User, Users
from cli import guards
from cli.session import operator


def configured(folder: Path, database: str, mode: str = "production") -> Config:
    file = folder / "certwright.toml"
    file.write_text(f'mode = "{mode}"\n[database]\nurl = "{database}"\n')
    return load(file)


def test_a_password_in_the_file_that_all_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_password = "postgresql://certwright:secret@db/certwright"
    monkeypatch.delenv("CERTWRIGHT_DATABASE__URL", raising=False)
    with pytest.raises(ConfigError) as told:
        guards.settings(configured(tmp_path, with_password))
    assert "secret" not in str(told.value)
    assert "CERTWRIGHT_DATABASE__URL" in told.value.next_step
    guards.settings(configured(tmp_path, with_password, "demo"))
    monkeypatch.setenv("CERTWRIGHT_DATABASE__URL", with_password)
    assert "CERTWRIGHT_DATABASE__URL" in guards.settings(configured(tmp_path, "postgresql://certwright@db/certwright"))


def test_a_demo_says_that_it_is_one(tmp_path: Path) -> None:
    demo = configured(tmp_path, "sqlite:///x", "demo")
    assert "demo" in guards.mode(demo)
    assert guards.users(demo) == guards.DEMO
    assert guards.place_checks(demo) == {}


def test_an_account_in_a_group_that_is_not_for_it_is_named() -> None:
    """With accounts that every Unix has."""
    daemon = pwd.getpwnam("daemon")
    by_process = {
        one: User(one, 59000 + n, 59000 + n) for n, one in enumerate(("fetcher", "scheduler", "status", "web"))
    }
    by_process["signer"] = User("daemon", daemon.pw_uid, daemon.pw_gid)
    guards._demand_groups(Users(by_process, {"everyone": 59101, "records": 59102, "clients": 59103}), "signer")
    with pytest.raises(ConfigError, match="not for the signer") as told:
        guards._demand_groups(
            Users(by_process, {"everyone": 59101, "records": daemon.pw_gid, "clients": 59103}), "signer"
        )
    assert "gpasswd --delete daemon" in told.value.next_step


def test_the_journal_knows_who_called_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "alice")
    assert operator().id == "alice (sudo)"
    monkeypatch.delenv("SUDO_USER")
    assert operator().id == "root"
    monkeypatch.setenv("SUDO_USER", "mallory")
    monkeypatch.setattr("os.getuid", lambda: pwd.getpwnam("daemon").pw_uid)
    assert operator().id == "daemon", "whoever is not root may set the variable as he likes"
