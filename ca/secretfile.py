"""Files that hold a secret word: for the user of the process that needs it alone, and never part of a message."""

import re
import stat
from pathlib import Path

from ca.errors import SecretUnreadable

_OTHERS = 0o037
"""What such a file must not allow: systemd lets the unit's user read by an ACL, which shows as the group's r."""


def word(file: Path) -> str:
    """The one word in the file. Raises `SecretUnreadable`."""
    found = words(file)
    if len(found) != 1:
        raise SecretUnreadable(f"{file} does not hold one word.", next_step="Write the secret alone into it.")
    return found[0]


def words(file: Path) -> list[str]:
    """The words in the file, one a line; ASCII. Raises `SecretUnreadable`."""
    try:
        if stat.S_IMODE(file.stat().st_mode) & _OTHERS:
            raise SecretUnreadable(f"Others can read the secret in {file}.", next_step=f"Run: chmod 600 {file}")
        text = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise SecretUnreadable(
            f"The secret in {file} cannot be read: {why}.", next_step="Put it there, owned by the user that reads it."
        ) from None
    found = text.split("\n")
    if not all(re.fullmatch(r"[!-~]+", one.strip()) for one in found):
        raise SecretUnreadable(f"{file} does not hold one word.", next_step="Write the secret alone into it.")
    return [one.strip() for one in found]
