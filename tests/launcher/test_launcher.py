"""What the launcher hands on, where it finds a module, and what it says when it cannot go on."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def given_venv(tmp_path):
    """An environment whose Python says how it was called."""
    python = tmp_path / "given" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@" "module=$CERTWRIGHT_PKCS11_MODULE"\nexit 6\n')
    python.chmod(0o755)
    return str(python.parent.parent)


def test_a_given_environment_is_used_and_arguments_and_exit_code_pass_through(checkout, given_venv):
    result = checkout.run("cert", "show", "--json", "a b", CERTWRIGHT_VENV=given_venv)
    assert (result.returncode, result.stdout) == (6, "-P -m cli.main cert show --json a b module=\n")
    assert not (checkout.path / ".certwright").exists()


def test_asking_for_help_on_test_installs_nothing(checkout):
    result = checkout.run("test", "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("usage: ./certwright test")
    assert not (checkout.path / ".certwright").exists()


def test_a_given_environment_that_is_none_is_refused(checkout):
    result = checkout.run("cert", "list", CERTWRIGHT_VENV="/nowhere")
    assert result.returncode == 1
    assert "CERTWRIGHT_VENV names /nowhere" in result.stderr
    assert "next: " in result.stderr


def test_the_module_is_handed_to_the_commands_that_want_one(checkout, given_venv, tmp_path):
    module = tmp_path / "libsofthsm2.so"
    module.touch()
    told = {"CERTWRIGHT_VENV": given_venv, "CERTWRIGHT_PKCS11_MODULE": str(module)}
    assert f"module={module}" in checkout.run("demo", **told).stdout
    missing = checkout.run("demo", CERTWRIGHT_VENV=given_venv, CERTWRIGHT_PKCS11_MODULE="/nowhere.so")
    assert (missing.returncode, "/nowhere.so, which does not exist" in missing.stderr) == (1, True)


def test_the_first_module_that_exists_is_found_and_a_private_one_last(launcher, tmp_path, monkeypatch):
    monkeypatch.setattr(launcher, "homes", lambda: (tmp_path / "home", tmp_path / "cache"))
    monkeypatch.setattr(launcher, "MODULE_PLACES", (str(tmp_path / "a.so"), str(tmp_path / "b.so")))
    assert launcher.find_module() is None
    private = tmp_path / "cache" / "softhsm/usr/lib/softhsm/libsofthsm2.so"
    private.parent.mkdir(parents=True)
    private.touch()
    assert launcher.find_module() == str(private)
    (tmp_path / "b.so").touch()
    assert launcher.find_module() == str(tmp_path / "b.so")


@pytest.mark.parametrize("arguments", [["cert", "list"], ["demo", "--help"], ["demo", "--stop"], []])
def test_commands_without_a_token_never_ask_for_a_module(launcher, monkeypatch, arguments):
    monkeypatch.setattr(launcher, "MODULE_PLACES", ())
    monkeypatch.setattr(launcher, "homes", lambda: ())
    assert launcher.module_for(arguments[0] if arguments else "", arguments) == {}


@pytest.mark.parametrize(
    ("line", "command"),
    [("demo --reset", "demo"), ("--config x.toml demo", "demo"), ("--config=x.toml serve", "serve"), ("--quiet", "")],
)
def test_the_command_is_found_behind_options(launcher, line, command):
    assert launcher.command_in(line.split()) == command


def test_a_configured_module_is_not_second_guessed(launcher, monkeypatch):
    monkeypatch.setenv("CERTWRIGHT_HSM__MODULE", "/opt/vendor/libhsm.so")
    assert launcher.module_for("demo", ["demo"]) == {}


def test_serve_gets_no_softhsm_it_did_not_ask_for(launcher, monkeypatch):
    monkeypatch.setattr(launcher, "MODULE_PLACES", ())
    monkeypatch.setattr(launcher, "homes", lambda: ())
    monkeypatch.setattr(launcher, "obtain_module", lambda: pytest.fail("fetched a module for `serve`"))
    assert launcher.module_for("serve", ["serve"]) == {}


@pytest.mark.parametrize(
    ("platform", "next_step"), [("darwin", "brew install softhsm"), ("linux", "dnf install softhsm")]
)
def test_where_softhsm_cannot_be_fetched_the_next_step_is_named(launcher, monkeypatch, platform, next_step):
    monkeypatch.setattr(launcher.sys, "platform", platform)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(launcher.Stop, match=next_step):
        launcher.obtain_module()


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/usr/bin/apt-get"), reason="needs Debian's apt-get")
def test_softhsm_is_unpacked_in_a_private_folder(launcher, tmp_path):
    launcher.unpack_softhsm(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["softhsm"]
    assert (tmp_path / "softhsm/usr/lib/softhsm/libsofthsm2.so").stat().st_size > 100_000


def test_an_old_python_reads_the_launcher_and_is_told_the_next_step(launcher, monkeypatch):
    ast.parse((CHECKOUT / "certwright").read_text(), feature_version=(3, 7))
    monkeypatch.setattr(launcher, "OLDEST_PYTHON", (3, 99))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(launcher.Stop, match=r"Python 3\.99 or newer is needed, this is 3\..*\n  next: install one"):
        launcher.demand_python([])


def test_without_pip_and_uv_the_next_step_is_named(launcher, monkeypatch, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(launcher, "PYTHON", str(python))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(launcher.Stop, match="apt-get install python3-pip"):
        launcher.install(tmp_path, tmp_path / "venv", launcher.RUN_LOCK, True)


def test_a_place_that_cannot_be_written_is_named(launcher, monkeypatch):
    monkeypatch.setattr(launcher, "homes", lambda: (Path("/dev/null/a"), Path("/dev/null/b")))
    with pytest.raises(launcher.Stop, match="/dev/null/a nor /dev/null/b can be written\n  next: set XDG_CACHE_HOME"):
        launcher.writable_home()


def test_what_pip_was_told_is_told_to_uv(launcher, monkeypatch):
    listing = (
        ":env:.index-url='https://mirror.example/env'\n"
        "global.index-url='https://mirror.example/simple'\n"
        "global.extra-index-url='file:///a\\nfile:///b'\nglobal.timeout='60'\n"
    )
    monkeypatch.setattr(launcher, "output_of", lambda _: listing)
    for word in launcher.UV_WORDS.values():
        monkeypatch.delenv(word, raising=False)
    assert launcher.uv_settings() == {
        "UV_DEFAULT_INDEX": "https://mirror.example/env",
        "UV_INDEX": "file:///a file:///b",
    }
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://own.example/simple")
    assert "UV_DEFAULT_INDEX" not in launcher.uv_settings()


def test_no_service_starts_while_packages_are_installed_and_only_then(launcher, monkeypatch, tmp_path):
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(launcher, "SERVICE_POLICY", policy)
    with launcher.no_services():
        assert subprocess.run([policy]).returncode == 101
        leftover = policy.read_text()
    assert not policy.exists()
    policy.write_text(leftover.replace(str(os.getpid()), str(dead_process())))  # as a killed launcher leaves it
    policy.chmod(0o755)
    assert subprocess.run([policy]).returncode == 0
    with launcher.no_services():
        assert subprocess.run([policy]).returncode == 101
    assert not policy.exists()


def test_an_administrators_service_policy_stays(launcher, monkeypatch, tmp_path):
    policy = tmp_path / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 104\n")
    monkeypatch.setattr(launcher, "SERVICE_POLICY", policy)
    with launcher.no_services():
        pass
    assert policy.read_text() == "#!/bin/sh\nexit 104\n"


def dead_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid
