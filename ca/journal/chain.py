"""The hashes of the chain. Leaves are those of RFC 9162 §2.1.1, so that a Merkle log can follow on the same leaves."""

import hashlib

EMPTY = bytes(32)
"""The chain hash before the first entry."""


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 || entry)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def link(previous: bytes, leaf: bytes) -> bytes:
    """The chain hash after one more leaf: SHA-256(0x01 || previous || leaf)."""
    return hashlib.sha256(b"\x01" + previous + leaf).digest()
