"""HOUSE.md in numbers: short functions, short files, few broad excepts."""

from __future__ import annotations

import ast
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
SOURCES = [
    CHECKOUT / "certwright",
    *(path for room in ("ca", "acme_server", "scheduler", "web", "cli") for path in (CHECKOUT / room).rglob("*.py")),
]


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text())
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_no_file_is_long():
    long = {str(path.relative_to(CHECKOUT)): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: lines for name, lines in long.items() if lines > 500} == {}


def test_no_function_is_long():
    long = {
        f"{path.relative_to(CHECKOUT)}:{function.name}": (function.end_lineno or 0) - function.lineno + 1
        for path in SOURCES
        for function in functions(path)
    }
    assert {name: lines for name, lines in long.items() if lines > 60} == {}


def test_no_package_among_the_tests_shadows_a_room():
    assert list((CHECKOUT / "tests").rglob("__init__.py")) == []
