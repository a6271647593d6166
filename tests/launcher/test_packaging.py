"""The locks, the declared dependencies and the wheel agree with the code."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
ROOMS = ("ca", "acme_server", "scheduler", "web", "cli")
LOCKS = ("requirements.lock", "requirements-test.lock", "requirements-uv.lock")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lock: str) -> dict[str, str]:
    lines = re.findall(r"^([A-Za-z0-9._-]+)==([^ ]+)", (CHECKOUT / lock).read_text(), re.MULTILINE)
    return {canonical(name): version for name, version in lines}


def declared(requirements: list[str]) -> set[str]:
    return {canonical(re.split(r"[^A-Za-z0-9._-]", line)[0]) for line in requirements}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_place_and_hashes_each_package(lock):
    text = (CHECKOUT / lock).read_text()
    assert not re.search(r"://|index-url|find-links|\.(org|com|net|io)\b", text)
    for requirement in text.replace("\\\n", " ").splitlines():
        if not requirement.startswith("#"):
            assert re.fullmatch(r"\S+==\S+( ; .*?)?(\s+--hash=sha256:[0-9a-f]{64})+\s*", requirement), requirement


def test_the_test_lock_is_the_run_lock_and_more():
    run, test = pins("requirements.lock"), pins("requirements-test.lock")
    assert run.items() <= test.items()
    assert declared(PYPROJECT["project"]["dependencies"]) <= run.keys()
    assert declared(PYPROJECT["dependency-groups"]["test"]) <= test.keys()


def imported_by(path: Path) -> set[str]:
    """Top-level names of all imports, at whatever depth they stand."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_what_a_room_imports_is_a_declared_dependency(room):
    known = declared(PYPROJECT["project"]["dependencies"])
    providers = packages_distributions()
    for path in (CHECKOUT / room).rglob("*.py"):
        for name in imported_by(path) - set(sys.stdlib_module_names) - set(ROOMS):
            assert known & {canonical(provider) for provider in providers[name]}, f"{path.name} imports {name}"


@pytest.mark.slow
def test_the_wheel_holds_the_rooms_the_pages_and_the_command(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        entry_points = archive.read(next(n for n in names if n.endswith("entry_points.txt"))).decode()
        metadata = archive.read(next(n for n in names if n.endswith("METADATA"))).decode()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == set(ROOMS)
    assert any(name.startswith("web/templates/") for name in names)
    assert "certwright = cli.main:main" in entry_points
    assert "Classifier: Private :: Do Not Upload" in metadata
