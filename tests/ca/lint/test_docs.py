"""docs/profiles.md shows the table of lints as it is, and the key types (HOUSE.md §5.14)."""

from pathlib import Path

from ca.keycheck import KEY_TYPES
from ca.lint import CHECKS

DOCS = Path(__file__).parents[3] / "docs" / "profiles.md"


def test_every_lint_stands_in_the_docs_and_no_other() -> None:
    lines = DOCS.read_text().splitlines()
    shown = lines[lines.index("| id | rule |") + 2 :]
    assert shown == [f"| {check.id} | {check.promise} |" for check in CHECKS]


def test_every_key_type_stands_in_the_docs() -> None:
    text = DOCS.read_text()
    assert [kind for kind in KEY_TYPES if f"`{kind}`" not in text] == []
