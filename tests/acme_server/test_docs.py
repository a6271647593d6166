"""docs/acme.md says what the code does."""

import re
from pathlib import Path

import pytest

from acme_server import problems
from acme_server.validation.causes import MEANINGS
from ca.config import keys
from tests.acme_server.test_problems import OWN, make

PAGE = (Path(__file__).parents[2] / "docs" / "acme.md").read_text()
ACME = [kind for kind in OWN if kind.code.startswith("acme-")]


@pytest.mark.parametrize("kind", ACME, ids=lambda kind: kind.code)
def test_every_error_of_acme_has_its_line(kind: type) -> None:
    error, status = problems.line(make(kind))
    assert f"| `{kind.code}` | `{error}` | {status} |" in PAGE  # type: ignore[attr-defined]


def test_no_line_tells_of_an_error_that_is_none() -> None:
    assert set(re.findall(r"^\| `(acme-[a-z-]+)` \|", PAGE, re.MULTILINE)) == {kind.code for kind in ACME}


def test_every_configuration_key_that_is_named_exists() -> None:
    assert set(re.findall(r"`(acme\.[a-z_.]+)`", PAGE)) - {"acme.refused"} <= set(keys())


LINES = dict(re.findall(r"^\| A-(\d\d) \|.*\| ([a-z ]+) \|$", PAGE, re.MULTILINE))
NAMES = " ".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))


def test_the_table_has_each_duty() -> None:
    assert set(LINES) >= {f"{number:02}" for number in range(1, 41)}
    assert set(LINES.values()) <= {"done", "not yet"}


@pytest.mark.parametrize("duty", LINES)
def test_what_is_done_has_tests_of_its_name(duty: str) -> None:
    assert LINES[duty] != "done" or re.search(rf"def test_(A\d\d_)*A{duty}_", NAMES)


@pytest.mark.parametrize("kind", sorted({one.error for one in MEANINGS.values()} - {""}))
def test_every_failure_of_a_challenge_has_its_line(kind: str) -> None:
    assert f"| `{kind}` |" in PAGE
