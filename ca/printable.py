"""Text of many hands, for a reader whose program may act on what it reads."""


def printable(text: str, also: str = "") -> str:
    """Control and direction characters by their code, as `⟨U+202E⟩`; those of `also` stay as they are."""
    return "".join(one if one.isprintable() or one in also else f"⟨U+{ord(one):04X}⟩" for one in text)
