"""The text of a notice for a reader whose program may act on what it reads."""

MOST = 400
"""Characters of one line."""


def plain(text: str) -> str:
    """One line of printable characters: line ends, control and direction characters by their code, long ones cut."""
    cut = text if len(text) <= MOST else f"{text[:MOST]}…"
    return "".join(one if one.isprintable() else f"⟨U+{ord(one):04X}⟩" for one in cut)
