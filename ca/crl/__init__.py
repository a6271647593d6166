"""Certificate revocation lists (RFC 5280 §5): entries written once, lists put together from them, and the gate.

entries = [crl.entry(fact) for fact in revoked]                 # DER, kept beside each fact
der = crl.assemble(issuer, key, entries, crl.Form(number, this_update, next_update, url))
crl.gate(published, der, may_leave)                             # before it takes the place of the published one
"""

from ca.crl.entries import entry, removal, serial_of, split
from ca.crl.gate import MayLeave, gate, missing, must_rise
from ca.crl.lists import Form, assemble, build, ledger_scope, revoked_of, tbs_of
from ca.crl.paths import FULL, delta_path, delta_url, full_path, issuer_of, label, list_path, shard_path, shard_url
from ca.crl.root import Window, root_crls, windows
from ca.profiles import certificate_period
from ca.records import Issuer

CONTENT_TYPE = "application/pkix-crl"

__all__ = [
    "CONTENT_TYPE",
    "FULL",
    "Form",
    "MayLeave",
    "Window",
    "assemble",
    "build",
    "delta_path",
    "delta_url",
    "entry",
    "full_path",
    "gate",
    "issuer_of",
    "label",
    "ledger_scope",
    "list_path",
    "missing",
    "must_rise",
    "not_after",
    "removal",
    "revoked_of",
    "root_crls",
    "serial_of",
    "shard_path",
    "shard_url",
    "split",
    "tbs_of",
    "windows",
]


def not_after(issuer: Issuer) -> int:
    """The end of the issuer's life: no CRL of its promises anything beyond it."""
    return certificate_period(issuer.certificate).not_after
