"""`./certwright test` runs every step, names the failed ones before pytest, and fails if one did."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def programs(suite, monkeypatch, tmp_path):
    """A folder of tools that only say their name; `fail(name)` makes one fail."""

    def write(name: str, exit_code: int) -> None:
        path = tmp_path / name
        path.write_text(f'#!/bin/sh\necho "{name} $*"\nexit {exit_code}\n')
        path.chmod(0o755)

    for name in ("ruff", "mypy", "lint-imports", "python"):
        write(name, 0)
    monkeypatch.setattr(suite, "BIN", tmp_path)
    return write


def test_all_steps_pass(suite, programs, capfd):
    assert suite.main(["--fast", "-k", "x"]) == 0
    out = capfd.readouterr().out
    assert [line for line in out.splitlines() if line.endswith(": ok")] == [
        f"certwright test: {step}: ok" for step in ("ruff check", "ruff format", "mypy", "lint-imports")
    ]
    assert "-m pytest -m not slow" in out.splitlines()[-1]


def test_a_failed_rule_is_named_before_the_tests_and_fails_the_whole(suite, programs, capfd):
    programs("mypy", 1)
    assert suite.main([]) == 1
    out = capfd.readouterr().out
    assert "lint-imports: ok" in out, "the steps after it ran"
    assert out.index("FAILED: mypy (see above)") < out.index("-m pytest")


def test_a_failed_test_fails_the_whole(suite, programs):
    programs("python", 5)
    assert suite.main([]) == 5


@pytest.mark.parametrize("argument", ["-s", "--pdb", "-n4"])
def test_one_worker_where_somebody_looks_on(suite, argument):
    assert suite.pytest_arguments([argument]) == [argument]


def test_temporary_files_lie_in_memory_where_it_has_room_and_go_with_the_run(suite, monkeypatch, tmp_path):
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(suite, "MEMORY", tmp_path)
    monkeypatch.setattr(suite, "ROOM", 1)
    with suite.scratch() as told:
        assert Path(told["TMPDIR"]).parent == tmp_path
    assert not list(tmp_path.iterdir())


def test_whoever_chose_a_temporary_folder_keeps_it(suite, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with suite.scratch() as told:
        assert told == {}


@pytest.mark.parametrize(("folder", "room"), [("gone", 0), (".", 1 << 62)])
def test_a_memory_disk_that_is_missing_or_small_is_left_alone(suite, monkeypatch, tmp_path, folder, room):
    monkeypatch.setattr(suite, "ROOM", room)
    assert not suite.has_room(tmp_path / folder)
