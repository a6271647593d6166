"""The text of a notice for a reader whose program may act on what it reads."""

from ca.printable import printable

MOST = 400
"""Characters of one line."""


def plain(text: str) -> str:
    """One line of printable characters: line ends, control and direction characters by their code, long ones cut."""
    cut = text if len(text) <= MOST else f"{text[:MOST]}…"
    return printable(cut)
