"""Threat model and practice statement are held to the code: tests, keys, commands, events and numbers exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from ca.authority.tokens import MAX_LIFE
from ca.ceremony.plans import IssuingPlan, RootPlan
from ca.config import SAMPLE_PROFILES, Config, keys
from ca.journal.events import EVENTS
from ca.keys.signer.rules import LONGEST_STATUS
from ca.records import SERIAL_OCTETS
from cli import main

ROOT = Path(__file__).parents[2]
PAGES = {name: (ROOT / "docs" / name).read_text() for name in ("threat-model.md", "cps.md")}
THREATS, PRACTICE = PAGES.values()
LOST = (
    "A client",
    "A web worker",
    "The database",
    "The status host",
    "An administrator",
    "The HSM's host",
    "The package supply",
)
RFC_3647 = tuple(range(1, 10))
DAY = 86400

TEST = re.compile(r"tests/[\w/]+\.py::\w+")
SPANS = {name: set(re.findall(r"`([^`]+)`", page)) for name, page in PAGES.items()}
DOTTED = re.compile(r"[a-z_]+(?:[.-][a-z_]+)*\.[a-z_-]+(?:\.[a-z_]+)*")


@cache
def defined(path: Path) -> frozenset[str]:
    """The names of the tests in a file, read and not run."""
    return frozenset(
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


def missing_tests(page: str) -> list[str]:
    found = (one.split("::") for one in TEST.findall(page))
    return [
        f"{path}::{name}" for path, name in found if not (ROOT / path).is_file() or name not in defined(ROOT / path)
    ]


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_is_named_exists(page: str) -> None:
    assert not missing_tests(PAGES[page])


def test_a_test_that_is_gone_would_be_noticed() -> None:
    here = "tests/docs/test_threats.py"
    gone = f"{here}::test_nobody_wrote", "tests/nowhere/test_gone.py::test_x"
    assert missing_tests(f"`{here}::test_every_test_that_is_named_exists` `{gone[0]}` `{gone[1]}`") == list(gone)


def sections(page: str) -> dict[str, str]:
    """The chapters of a page by their headings."""
    _, *parts = re.split(r"^## (.+)$", page, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_each_part_is_assumed_lost_and_the_rest_is_open() -> None:
    assert tuple(sections(THREATS)) == (*LOST, "Open")


@pytest.mark.parametrize("part", LOST)
def test_each_control_has_its_test(part: str) -> None:
    rows = re.findall(r"^\| (.+) \| (.+) \| (.+) \|$", sections(THREATS)[part], re.MULTILINE)[1:]
    assert len(rows) >= 4
    assert not [threat for threat, _, shown in rows if not TEST.search(shown)]


def test_open_points_are_numbered_and_none_of_them_claims_a_test() -> None:
    text = sections(THREATS)["Open"]
    numbers = [int(one) for one in re.findall(r"^(\d+)\. ", text, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert not TEST.search(text)


@pytest.mark.parametrize("page", PAGES)
def test_every_dotted_name_is_a_key_an_event_a_log_line_or_a_file(page: str) -> None:
    known = {*keys(), *_tables(), *EVENTS, *_logged()}
    dotted = {one for one in SPANS[page] if DOTTED.fullmatch(one)}
    assert dotted
    assert not {one for one in dotted - known if one != "keys.json"}


def _tables() -> set[str]:
    """`signer.rates` and its like: what stands above a key."""
    return {key.rsplit(".", 1)[0] for key in keys() if "." in key}


@cache
def _logged() -> frozenset[str]:
    """The names of the log's lines, as the code writes them."""
    rooms = (path for room in ("ca", "web", "cli", "scheduler", "acme_server") for path in (ROOT / room).rglob("*.py"))
    return frozenset(
        name for path in rooms for name in re.findall(r'\.(?:warning|error|critical)\(\s*"([\w.-]+)"', path.read_text())
    )


@pytest.mark.parametrize("page", PAGES)
def test_every_command_exists_as_it_is_written(page: str) -> None:
    written = {" ".join(one.split()) for one in SPANS[page] if one.startswith("certwright ")}
    assert written
    assert not {one for one in written if one.removeprefix("certwright ") not in main.COMMANDS}


@pytest.mark.parametrize("page", PAGES)
def test_every_path_exists(page: str) -> None:
    paths = {one for one in SPANS[page] if re.fullmatch(r"[\w-]+(/[\w.-]+)+", one)}
    assert not {one for one in paths if not (ROOT / one).exists()}


def test_the_practice_statement_has_the_chapters_of_rfc_3647() -> None:
    *numbered, last = sections(PRACTICE)
    assert [int(one.split(".")[0]) for one in numbered] == list(RFC_3647)
    assert last == "What is not there yet"


def days(seconds: int) -> str:
    whole, rest = divmod(seconds, DAY)
    assert not rest
    return f"{whole} days"


CONFIG = Config()
VALUES = {
    "life of a root": days(RootPlan().life),
    "life of an issuing CA": days(IssuingPlan(unconstrained=True).life) + ", never beyond its root",
    "longest life of a leaf, pinned at the ceremony (`signer.longest_life`)": (
        days(CONFIG.signer.longest_life) + " by default"
    ),
    **{f"life of a leaf (`{name}`)": days(one.validity) for name, one in SAMPLE_PROFILES.items()},
    "life of a responder (`signer.responder_days`)": f"{CONFIG.signer.responder_days} days by default",
    "a leaf CRL speaks for (`ca.crl_life`)": days(CONFIG.ca.crl_life) + " by default",
    "an OCSP answer speaks for (`ca.ocsp_life`)": f"{CONFIG.ca.ocsp_life // 3600} hours by default",
    "a CRL of the root speaks for": days(RootPlan().crl_life),
    "CRLs of the root signed ahead": str(RootPlan().spares),
    "the signer signs no CRL or answer for longer than": days(int(LONGEST_STATUS.total_seconds())),
    "life of an API token": days(MAX_LIFE) + " at most",
    "an ACME authorization is used again for (`acme.authorization_life`)": (
        f"{CONFIG.acme.authorization_life // 3600} hours by default"
    ),
    "random bits in a serial number": str((SERIAL_OCTETS - 3) * 8),
}


def test_the_numbers_are_those_of_the_code() -> None:
    table = PRACTICE.split("| what | value |")[1].split("\n\n")[0]
    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", table, re.MULTILINE))
    rows.pop("---", None)
    assert rows == VALUES
