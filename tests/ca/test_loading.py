"""The collector rests while modules are imported, and never longer."""

import subprocess
import sys

import pytest

PROGRAM = """
import gc
from ca.loading import uncollected
collections = []
gc.callbacks.append(lambda phase, _: collections.append(phase))
try:
    with uncollected():
        {within}
        during = len(collections)
finally:
    print(gc.isenabled(), during if "during" in dir() else "", gc.get_freeze_count() > 0)
made = [[] for _ in range(100_000)]
print(len(collections) > 0)
"""


def lines(within: str) -> list[str]:
    """Of a process of its own: this one's memory is left as it is."""
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(within=within)], capture_output=True, text=True)
    return done.stdout.split("\n")


def test_nothing_is_collected_while_modules_are_imported_and_what_came_after_is():
    assert lines("import ca.config") == ["True 0 True", "True", ""]


@pytest.mark.parametrize("within", ["import ca.no_such_module", "raise SystemExit(2)"])
def test_an_import_that_fails_leaves_the_collector_at_work(within):
    assert lines(within)[0] == "True  True"
