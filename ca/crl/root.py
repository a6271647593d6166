"""The root's CRLs: signed at its ceremony with spares, each published when its time has come (L-09, B-03)."""

from collections.abc import Sequence
from dataclasses import dataclass

from ca.crl.lists import build
from ca.keys.algorithms import PrivateKey
from ca.records import Issuer, Revocation


@dataclass(frozen=True, slots=True)
class Window:
    """The time of one CRL: `number`, and thisUpdate and nextUpdate in epoch seconds."""

    number: int
    this_update: int
    next_update: int


def windows(first: Window, spares: int, overlap: int) -> Sequence[Window]:
    """The first window and `spares` more of its length, each starting `overlap` seconds before the last one ends."""
    life = first.next_update - first.this_update
    step = life - overlap
    return [
        Window(first.number + n, first.this_update + n * step, first.this_update + n * step + life)
        for n in range(spares + 1)
    ]


def root_crls(
    issuer: Issuer, private_key: PrivateKey, revoked: Sequence[Revocation], times: Sequence[Window]
) -> list[bytes]:
    """One CRL for each window: the root goes offline again, and its spares are published when they are due (B-03).

    A root's CRL is not partitioned: it covers the root itself too, which has no distribution point.
    """
    return [
        build(issuer, private_key, revoked, window.number, window.this_update, window.next_update) for window in times
    ]
