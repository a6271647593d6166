"""As much DER as is needed to dress a bare TBS up as a signed structure, so that the library can parse it."""

from collections.abc import Iterator

from ca.errors import BadRequest

SEQUENCE, INTEGER, BIT_STRING, OCTET_STRING, ENUMERATED, OBJECT_IDENTIFIER = 0x30, 0x02, 0x03, 0x04, 0x0A, 0x06
EMPTY_BIT_STRING = b"\x03\x01\x00"


def tlv(tag: int, content: bytes) -> bytes:
    """One DER element of a one-octet tag."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = (size.bit_length() + 7) // 8
    return bytes((tag, 0x80 | octets)) + size.to_bytes(octets, "big") + content


def bit_string(octets: bytes) -> bytes:
    """A BIT STRING of whole octets."""
    return tlv(BIT_STRING, b"\x00" + octets)


def children(element: bytes) -> Iterator[bytes]:
    """The elements inside a constructed DER element, whole. Raises `BadRequest` for what is no DER."""
    start, end = _content(element, 0)
    if end != len(element):
        raise BadRequest("There are octets after the end of the structure.")
    while start < end:
        after = end_of(element, start)
        yield element[start:after]
        start = after


def content(element: bytes) -> bytes:
    """What stands in one whole element. Raises `BadRequest` for what is no DER."""
    start, end = _content(element, 0)
    return element[start:end]


def end_of(data: bytes, at: int) -> int:
    """Where the element that begins at `at` ends. Raises `BadRequest` for what is no DER."""
    return _content(data, at)[1]


def _content(data: bytes, at: int) -> tuple[int, int]:
    """Where the content of the element at `at` starts and ends."""
    head = data[at : at + 2]
    if len(head) < 2 or head[0] & 0x1F == 0x1F:
        raise BadRequest("The structure is no DER.")
    octets = head[1] & 0x7F if head[1] & 0x80 else 0
    start = at + 2 + octets
    size = int.from_bytes(data[at + 2 : start], "big") if octets else head[1]
    if octets > 4 or start + size > len(data) or (octets and size < 0x80):
        raise BadRequest("The structure is no DER.")
    return start, start + size
