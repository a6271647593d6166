"""The docs are held to the code: reference blocks are generated, and every name that is told of exists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from ca.config import SECURITY_KEYS, Config, keys
from ca.journal.events import EVENTS
from cli import main, problems, reference
from cli.config import described
from scheduler.timetable import TIMETABLE

ROOT = Path(__file__).parents[2]
ROOMS = [
    path for room in ("ca", "acme_server", "scheduler", "web", "cli") for path in sorted((ROOT / room).rglob("*.py"))
]
PAGES = (*reference.DOCS.glob("*.md"), *reference.DOCS.glob("runbooks/*.md"))
DOCS = {path.name: path.read_text() for path in PAGES}
COMMAND = re.compile(r"'(?:\./)?certwright ([a-z][a-z-]*)((?: [a-z][a-z-]*)?)")


def test_every_block_is_as_generated():
    for path in reference.pages():
        page = path.read_text()
        assert reference.renewed(page) == page, f"{path.name} is behind: run 'python -m cli.reference'"


def test_every_block_stands_somewhere():
    found = {name for page in DOCS.values() for _, name, _ in reference.BLOCK.findall(page)}
    assert found == set(reference.BLOCKS)


@pytest.mark.parametrize("command", main.COMMANDS)
def test_command_is_explained(command):
    assert f"### `certwright {command}" in DOCS["commands.md"]


def test_configuration_keys_are_explained():
    missing = [key for key in keys() if f"| `{key}` |" not in DOCS["configuration.md"]]
    assert missing == ["profiles", "targets", "channels", "roles"]  # tables by name, with keys of their own


def test_every_configuration_key_has_a_meaning():
    assert not [one.key for one in described(Config) if not one.meaning]


def test_security_keys_are_named():
    for key in SECURITY_KEYS:
        assert f"`{key}" in DOCS["configuration.md"].split("## Reference")[0]


@pytest.mark.parametrize("event", EVENTS)
def test_event_is_explained_and_fired(event):
    assert f"| `{event}` |" in DOCS["events.md"]
    assert event in _literals(), f"nobody fires {event}"


@cache
def _literals() -> set[str]:
    trees = [ast.parse(path.read_text()) for path in ROOMS if path != ROOT / "ca/journal/events.py"]
    return {
        node.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


@pytest.mark.parametrize("error", [one.code for one in reference._family(reference.errors.CAError)])
def test_error_is_explained(error):
    assert f"| `{error}` |" in DOCS["errors.md"]


def test_errors_of_the_command_line_are_explained():
    codes = set(re.findall(r'Problem\(\s*"(\w+)"', (ROOT / "cli/problems.py").read_text())) - {"failed"}
    assert codes == {"usage", "system", "unforeseen"}
    assert all(f"`{code}`" in DOCS["errors.md"] for code in codes)
    assert problems.problem(RuntimeError("x")).code == "unforeseen"


@pytest.mark.parametrize("job", TIMETABLE, ids=lambda job: job.name)
def test_job_is_explained(job):
    assert f"| `{job.name}` | `{job.every}` |" in DOCS["operations.md"]


def test_the_jobs_table_names_no_other():
    table = DOCS["operations.md"].split("| job |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == {job.name for job in TIMETABLE}


def test_every_next_step_names_a_command_that_exists():
    """An error that sends its reader to a command that is not there is worse than none."""
    wrong = []
    for path in ROOMS:
        for noun, verb in COMMAND.findall(path.read_text()):
            if (
                f"{noun}{verb}" not in {**main.COMMANDS, **main.NOUNS}
                and noun not in main.COMMANDS
                and not (noun in main.NOUNS and not verb)
            ):
                wrong.append(f"{path.relative_to(ROOT)}: certwright {noun}{verb}")
    assert not wrong


def test_the_same_in_the_docs():
    wrong = []
    for name, page in DOCS.items():
        for noun, verb in re.findall(r"`(?:\./)?certwright ([a-z][a-z-]*)((?: [a-z][a-z-]*)?)", page):
            known = f"{noun}{verb}" in main.COMMANDS or noun in (*main.COMMANDS, *main.NOUNS, "test")
            if not known:
                wrong.append(f"{name}: certwright {noun}{verb}")
    assert not wrong


def test_links_between_the_docs_lead_somewhere():
    pages = [ROOT / "README.md", *reference.DOCS.rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_decisions_are_numbered_without_twins_or_gaps():
    pages = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        assert page.read_text().startswith(f"# {int(page.name[:4])}. "), page.name
