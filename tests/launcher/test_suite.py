"""`./certwright test` runs every step, names the failed ones before pytest, and fails if one did."""

from __future__ import annotations

import re
import subprocess
import sys
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


def test_the_longest_files_come_first_then_those_of_most_tests(suite):
    tests = suite.CHECKOUT / "tests"
    long, longest = tests / suite.LONGEST[1], tests / suite.LONGEST[0]
    sizes = {tests / "a.py": 3, long: 2, tests / "b.py": 40, longest: 1}
    assert sorted(sizes, key=lambda file: suite.turn(file, sizes[file])) == [
        longest, long, tests / "b.py", tests / "a.py",
    ]  # fmt: skip


@pytest.mark.slow
def test_workers_take_files_in_that_order(suite):
    assert "--no-loadscope-reorder" in suite.pytest_arguments([]), "else xdist sorts them by number of tests"
    few = ["tests/ca/test_names.py", "tests/ca/test_csr.py", f"tests/{suite.LONGEST[-1]}"]
    command = [sys.executable, "-m", "pytest", "-v", "-n", "1", "--dist", "loadfile", "--no-loadscope-reorder"]
    command += ["--setup-plan", *few]  # which runs none of them
    done = subprocess.run(command, cwd=suite.CHECKOUT, capture_output=True, text=True, timeout=100)
    files = list(dict.fromkeys(re.findall(r"tests/\S+?\.py", done.stdout)))
    assert files[0] == few[-1], done.stdout + done.stderr


def test_each_file_that_is_called_long_is_there(suite):
    assert [name for name in suite.LONGEST if not (suite.CHECKOUT / "tests" / name).is_file()] == []


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
