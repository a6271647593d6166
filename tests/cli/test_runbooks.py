"""The runbooks are typed: each command in their blocks runs on a real CA, and changes nothing."""

import re
import shlex
import subprocess

import pytest

from cli import reference
from tests.cli.conftest import Installation

pytestmark = pytest.mark.slow
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = sorted(reference.DOCS.glob("runbooks/*.md"))


def lines() -> list[str]:
    """Every command line of every runbook, once."""
    found = [line for page in PAGES for block in BLOCK.findall(page.read_text()) for line in block.splitlines()]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("line", lines())
def test_a_command_of_a_runbook_can_be_typed(ca: Installation, line: str) -> None:
    """It is understood and answers; that something is wrong (exit code 1) is what it may find at night."""
    program, *words = shlex.split(line)
    before = ca.run("audit", "export", "--json").stdout.count("\n")
    if program == "certwright":
        done = ca.run(*words, ok=None)
        assert done.code in (0, 1), done.stderr
        assert done.stdout
    else:
        assert subprocess.run(["sh", "-c", line], capture_output=True, timeout=30).returncode in (0, 1)
    assert ca.run("audit", "export", "--json").stdout.count("\n") == before
