"""The canonical checkpoint that a journal key signs (JOURNAL.md §4; C2SP tlog-checkpoint without extensions).

Three lines, each ended by a newline: the origin, the number of entries in decimal, the head in base64.
"""

import base64
import binascii
import re
from dataclasses import dataclass

from ca.errors import BadRequest

_SHAPE = re.compile(r"([!-*,-~]{1,200})\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a journal: `size` entries, 32 octets `head`; `origin` names the journal (`<host>/audit`)."""

    origin: str
    size: int
    head: bytes

    def text(self) -> bytes:
        """The bytes to sign. Raises `BadRequest` for values that have no canonical text."""
        made = f"{self.origin}\n{self.size}\n{base64.b64encode(self.head).decode()}\n".encode()
        parse_checkpoint(made)
        return made


def parse_checkpoint(text: bytes) -> Checkpoint:
    """The checkpoint of canonical bytes; there is one rendering of each. Raises `BadRequest`."""
    match = _SHAPE.fullmatch(text.decode("ascii", errors="replace"))
    if not match:
        raise BadRequest("This is no canonical checkpoint: origin, size and head in three lines.")
    try:
        head = base64.b64decode(match[3], validate=True)
    except binascii.Error as error:
        raise BadRequest(f"The head of the checkpoint is no base64: {error}.") from None
    if base64.b64encode(head).decode() != match[3]:
        raise BadRequest("The head of the checkpoint is no canonical base64.")
    return Checkpoint(match[1], int(match[2]), head)
