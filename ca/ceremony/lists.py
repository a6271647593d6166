"""The CRLs that a root signs while its token is open: one that speaks from now on, and spares for later (B-03)."""

from collections.abc import Sequence
from dataclasses import replace

from ca.ceremony.plans import RootPlan
from ca.ceremony.records import Lists
from ca.ceremony.root_key import RootKey
from ca.ceremony.transcript import Scribe, sha256
from ca.clock import rfc3339
from ca.crl import Window, root_crls, windows
from ca.profiles import certificate_period
from ca.records import Issuer, Revocation

BACKDATE = 300
"""Seconds that thisUpdate of the first one lies before the ceremony (X-16)."""


def sign_lists(  # noqa: PLR0913  # who signs, and the fields of one series
    root: Issuer, plan: RootPlan, key: RootKey, scribe: Scribe, now: int, *, number: int, revoked: Sequence[Revocation]
) -> Lists:
    """CRLs from that number on, none of which outlives the root. Raises the HSM family."""
    life = certificate_period(root.certificate)
    start = max(now - BACKDATE, life.not_before)
    planned = windows(Window(number, start, start + plan.crl_life), plan.spares, plan.crl_overlap)
    kept = [
        replace(one, next_update=min(one.next_update, life.not_after))
        for one in planned
        if one.this_update < life.not_after
    ]
    crls = root_crls(root, key.private, revoked, kept)
    for window, der in zip(kept, crls, strict=True):
        scribe.note(
            f"CRL {window.number} of the root signed",
            this_update=rfc3339(window.this_update),
            next_update=rfc3339(window.next_update),
            revoked=len(revoked),
            sha256=sha256(der),
        )
    return tuple(zip(kept, crls, strict=True))
