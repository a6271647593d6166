"""The environment is made once and whole, whoever starts at the same moment and however the last try ended."""

from __future__ import annotations

import re
import tomllib

import pytest

NOWHERE = "https://127.0.0.1:9/simple"  # the discard port: refuses at once
OFFLINE = {"UV_DEFAULT_INDEX": NOWHERE, "PIP_INDEX_URL": NOWHERE, "PIP_RETRIES": "0", "UV_HTTP_RETRIES": "0"}
OFFLINE |= {"UV_NO_CACHE": "1", "PIP_NO_CACHE_DIR": "1"}


@pytest.mark.slow
def test_two_first_starts_at_once_make_one_environment(checkout):
    both = [checkout.start("cert", "list"), checkout.start("cert", "list")]
    outputs = [process.communicate(timeout=100) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert all("arguments ['cert', 'list']" in out for out, _ in outputs)
    assert sorted(err.count("making the environment") for _, err in outputs) == [0, 1]


@pytest.mark.slow
def test_later_starts_do_no_work(checkout):
    assert checkout.run("cert", "list").returncode == 0
    stamp = checkout.venv / "certwright.stamp"
    made_at = stamp.stat().st_mtime_ns
    later = checkout.run("cert", "list", PYTHONPROFILEIMPORTTIME="1")
    assert later.returncode == 0
    assert "certwright:" not in later.stderr
    assert "subprocess" not in later.stderr, "nothing is started on the way, so nothing slow is imported"
    assert stamp.stat().st_mtime_ns == made_at


@pytest.mark.slow
def test_the_environment_knows_the_version_and_a_new_version_makes_it_again(checkout):
    pyproject = checkout.path / "pyproject.toml"
    version = tomllib.loads(pyproject.read_text())["project"]["version"]
    assert f"version {version}\n" in checkout.run("cert", "list").stdout
    pyproject.write_text(pyproject.read_text().replace(f'version = "{version}"', 'version = "99.1"'))
    assert "version 99.1\n" in checkout.run("cert", "list").stdout


@pytest.mark.slow
def test_the_exit_code_is_the_commands(checkout):
    assert checkout.run("cert", "fail").returncode == 7


@pytest.mark.slow
def test_a_half_made_environment_is_made_again(checkout):
    (checkout.venv / "bin").mkdir(parents=True)
    (checkout.venv / "bin" / "python").write_text("#!/bin/sh\nexit 99\n")
    (checkout.venv / "bin" / "python").chmod(0o755)
    (checkout.path / ".certwright" / "uv" / "bin").mkdir(parents=True)
    (checkout.path / ".certwright" / "uv" / "bin" / "uv").write_text("half a download")
    result = checkout.run("cert", "list")
    assert (result.returncode, "arguments ['cert', 'list']" in result.stdout) == (0, True), result.stderr


@pytest.mark.slow
def test_a_changed_lock_makes_the_environment_again(checkout):
    checkout.run("cert", "list")
    leftover = checkout.venv / "leftover"
    leftover.touch()
    (checkout.path / "requirements.lock").write_text((checkout.path / "requirements-test.lock").read_text())
    assert checkout.run("cert", "list").returncode == 0
    assert not leftover.exists()


@pytest.mark.slow
def test_the_test_environment_grows_out_of_the_other_and_serves_both(checkout, tmp_path):
    checkout.run("cert", "list")
    kept = checkout.venv / "kept"
    kept.touch()
    module = tmp_path / "module.so"
    module.touch()
    # An empty PATH keeps apt-get and its packages out of this test.
    grown = checkout.run("test", "-k", "x", PATH="/nowhere", CERTWRIGHT_PKCS11_MODULE=str(module))
    assert (grown.returncode, "arguments ['-k', 'x']" in grown.stdout) == (0, True), grown.stderr
    assert f"module {module}" in grown.stdout
    assert list(checkout.venv.glob("lib/*/site-packages/pluggy"))
    assert kept.exists(), "a demo that runs from this environment is not disturbed"
    assert "certwright:" not in checkout.run("cert", "list").stderr


@pytest.mark.slow
def test_without_a_network_it_says_so_and_leaves_nothing_that_looks_finished(checkout):
    result = checkout.run("cert", "list", PATH="/nowhere", **OFFLINE)
    assert result.returncode == 1
    assert "next: if the network is the cause" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (checkout.venv / "certwright.stamp").exists()


@pytest.mark.slow
def test_a_failed_growth_leaves_the_environment_as_it_was(checkout):
    checkout.run("cert", "list")
    assert checkout.run("test", PATH="/nowhere", **OFFLINE).returncode == 1
    assert "certwright:" not in checkout.run("cert", "list", **OFFLINE).stderr


@pytest.mark.slow
def test_a_package_that_is_not_the_locked_one_is_refused(checkout):
    lock = checkout.path / "requirements.lock"
    lock.write_text(re.sub("sha256:[0-9a-f]+", "sha256:" + "0" * 64, lock.read_text()))
    result = checkout.run("cert", "list")
    assert result.returncode == 1
    assert "hash" in result.stderr.lower()


@pytest.mark.slow
def test_the_code_is_compiled_for_users_who_may_not_write_beside_it(checkout):
    assert checkout.run("cert", "list", PYTHONDONTWRITEBYTECODE="1").returncode == 0
    assert list(checkout.path.glob("cli/__pycache__/main.*.pyc"))
    assert list(checkout.venv.glob("lib/*/site-packages/iniconfig/__pycache__/__init__.*.pyc"))


@pytest.mark.slow
def test_a_checkout_that_cannot_be_compiled_works_all_the_same(checkout):
    (checkout.path / "cli" / "__pycache__").write_text("no folder")
    assert checkout.run("cert", "list").returncode == 0
