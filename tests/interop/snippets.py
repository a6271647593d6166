"""The configurations of docs/status-plane.md, as its readers copy them."""

import re
from collections.abc import Mapping
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "status-plane.md"
_SNIPPET = re.compile(r"<!-- snippet: (.+?) -->\n```\w*\n(.*?)```\n<!-- end snippet -->", re.DOTALL)


def snippet(name: str, changes: Mapping[str, str]) -> str:
    """A snippet of that page with words changed to this test's; each of them has to stand in it."""
    text = dict(_SNIPPET.findall(PAGE.read_text()))[name]
    for word, own in changes.items():
        assert word in text, f"{name} holds no {word}"
        text = text.replace(word, own)
    return text
