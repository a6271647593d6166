"""Reconciliation: what the keys have signed (the signer's ledger) against what the records say.

Each certificate in the ledger must have exactly one intent, with the very same TBS, and each issued certificate
an entry. A CRL must have been published, a checkpoint be a head of the journal. What a crash leaves behind is
told apart from what somebody stole: an orphan's intent is abandoned and its serial revoked; a CRL or head that
was signed and never came out says nothing but what the records say. Everything else is a difference.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from cryptography import x509

from ca import crl, journal
from ca.authority import tables
from ca.authority.desk import Desk
from ca.errors import NotFound
from ca.keys.checkpoint import Checkpoint
from ca.keys.ledger import CLOCK, DELTA, RESPONDER, Entry, crl_of, scope_of
from ca.records import Intent, Issuer, SignKind, serial_hex

_EVERY = 1 << 31


@dataclass(frozen=True, slots=True)
class Finding:
    """One signature that is not simply as the records say: where it stands in the ledger (0: nowhere), and why."""

    kind: str
    key: str
    mark: str
    counter: int
    why: str


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The outcome. `signed` counts entries by kind, and OCSP answers one by one.

    `orphans` are listed and revoked; `unpublished` never came out and say nothing new; `under_way` are being
    issued now. `differences` must not be.
    """

    signed: Mapping[str, int]
    matched: int
    under_way: int
    orphans: tuple[Finding, ...]
    unpublished: tuple[Finding, ...]
    differences: tuple[Finding, ...]

    @property
    def agrees(self) -> bool:
        """Whether the only differences are the listed orphans."""
        return not self.differences


def reconcile(desk: Desk, entries: Callable[[], Iterable[Entry]]) -> Reconciliation:
    """Compares the ledger's entries, in their order, with the records; both may grow meanwhile.

    `entries` is called after the records have been read, so that everything recorded must stand in it. Raises
    what reading the ledger raises, and `StoreUnavailable`.
    """
    books = _Books(desk)
    for entry in entries():
        books.enter(entry)
    return books.close()


@dataclass
class _Books:
    """One comparison on its way."""

    desk: Desk
    signed: Counter[str] = field(default_factory=Counter)
    matched: set[bytes] = field(default_factory=set)
    under_way: int = 0
    orphans: list[Finding] = field(default_factory=list)
    unpublished: list[Finding] = field(default_factory=list)
    differences: list[Finding] = field(default_factory=list)

    def __post_init__(self) -> None:
        store = self.desk.store
        self.issuers = {issuer.key_id: issuer for issuer in store.issuers() if issuer.kind == "issuing"}
        self.certificates = {
            _tbs_sha256(one.der): (issuer.key_id, serial_hex(one.serial))
            for issuer in self.issuers.values()
            for one in tables.certificates(store, issuer.id)
        }
        self.responders = {_tbs_sha256(one.certificate) for one in tables.responders(store)}
        self.crls = _Crls(self.desk)
        performed = journal.history(store, "database", _EVERY)
        details = [one["detail"] for one in performed if one["action"] == "restore.performed"]
        self.gaps = [range(one["from"], one["to"]) for one in details]
        self.seen_crls: set[bytes] = set()

    def enter(self, entry: Entry) -> None:
        """Compares one entry with the records."""
        self.signed[entry.kind] += entry.number if entry.kind == SignKind.OCSP else 1
        _COMPARE.get(entry.kind, _Books.unknown)(self, entry)

    def close(self) -> Reconciliation:
        """The outcome, when every entry was compared: what is recorded must have been entered."""
        for sha256, (key, serial) in self.certificates.items():
            if sha256 not in self.matched:
                finding = Finding(
                    SignKind.CERTIFICATE, key, serial, 0, "it was issued and does not stand in the ledger"
                )
                self.differences.append(finding)
        for sha256, path in self.crls.published.items():
            if sha256 not in self.seen_crls:
                finding = Finding(SignKind.CRL, crl.issuer_of(path), path, 0, "it is published and not in the ledger")
                self.differences.append(finding)
        return Reconciliation(
            dict(self.signed),
            len(self.matched),
            self.under_way,
            tuple(self.orphans),
            tuple(self.unpublished),
            tuple(self.differences),
        )

    def unknown(self, entry: Entry) -> None:
        """A kind that this release does not know."""
        self._differs(entry, "this release does not know the kind")

    def certificate(self, entry: Entry) -> None:
        """Exactly one intent with this TBS, which came to its end as an intent may."""
        if entry.sha256 in self.matched:
            self._differs(entry, "it was signed twice")
            return
        try:
            intent = tables.intent_of(self.desk.store, self._issuer(entry), entry.mark)
        except NotFound:
            self._differs(entry, "nobody intended it")
            return
        if hashlib.sha256(intent.tbs).digest() != entry.sha256:
            self._differs(entry, "another certificate was intended for this serial")
            return
        self.matched.add(entry.sha256)
        self._ended(entry, intent)

    def _ended(self, entry: Entry, intent: Intent) -> None:
        if intent.state == "open":
            self.under_way += 1
        elif intent.state == "abandoned":
            self._orphan(entry, intent)
        elif intent.state == "imported":
            self.orphans.append(_finding(entry, "the records were set back, and know what was signed by this entry"))
        elif intent.state != "issued":
            self._differs(entry, f"its intent is {intent.state}, as if nothing had been signed")
        elif entry.sha256 not in self.certificates and not self._issued_since(intent):
            self._differs(entry, "its intent says that it was issued, and there is no such certificate")

    def _issued_since(self, intent: Intent) -> bool:
        try:
            self.desk.store.certificate(intent.issuer, intent.serial)
        except NotFound:
            return False
        return True

    def _orphan(self, entry: Entry, intent: Intent) -> None:
        try:
            self.desk.store.revocation(intent.issuer, intent.serial)
        except NotFound:
            self._differs(entry, "it is an orphan that is not revoked")
            return
        self.orphans.append(_finding(entry, f"abandoned and revoked; {intent.actor} asked for it"))

    def responder(self, entry: Entry) -> None:
        """The signer's own deed. A crash may keep it from being recorded; then it answers for nobody."""
        if entry.sha256 not in self.responders:
            self.unpublished.append(_finding(entry, "the signer made this responder, and it was never recorded"))

    def crl(self, entry: Entry) -> None:
        """Published, or never come out and harmless."""
        self.seen_crls.add(entry.sha256)
        if self.crls.was_published(entry):
            return
        if self.crls.says_what_the_records_say(entry):
            self.unpublished.append(_finding(entry, f"CRL {entry.number} was never published; it says nothing new"))
        else:
            self._differs(entry, f"CRL {entry.number} was never published, and the records do not explain it")

    def checkpoint(self, entry: Entry) -> None:
        """A head of the journal, signed and stored; or one that is still to be stored, or never was, but true."""
        if any(lost.start < entry.number <= lost.stop for lost in self.gaps):
            self.unpublished.append(_finding(entry, "a head over entries that a restore has lost"))
            return
        leaves = self.desk.store.chained(entry.number - 1, 1) if entry.number else ()
        if not leaves or _checkpoint(entry.mark, entry.number, leaves[0].leaf.chain) != entry.sha256:
            self._differs(entry, f"the journal never had this head at {entry.number} entries")

    def counted(self, _entry: Entry) -> None:
        """CSRs, OCSP answers and accepted clocks are counted; there is nothing to compare them with."""

    def _issuer(self, entry: Entry) -> str:
        return self.issuers[entry.key].id if entry.key in self.issuers else ""

    def _differs(self, entry: Entry, why: str) -> None:
        self.differences.append(_finding(entry, why))


_COMPARE: Mapping[str, Callable[[_Books, Entry], None]] = {
    SignKind.CERTIFICATE: _Books.certificate,
    RESPONDER: _Books.responder,
    SignKind.CRL: _Books.crl,
    SignKind.CHECKPOINT: _Books.checkpoint,
    SignKind.CSR: _Books.counted,
    SignKind.OCSP: _Books.counted,
    CLOCK: _Books.counted,
}


class _Crls:
    """What the records say about the CRLs of issuing CAs: the newest ones, and all that the journal tells of."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._shards: dict[tuple[str, str], tuple[str, int]] = {}
        self._told: set[bytes] = set()
        self.published: dict[bytes, str] = {}
        for issuer in (one for one in desk.store.issuers() if one.kind == "issuing"):
            for shard in (crl.FULL, *(state.shard for state in desk.store.shards(issuer.id))):
                self._read(issuer, shard, crl.list_path(issuer.id, shard))
                self._read(issuer, shard, crl.delta_path(issuer.id, shard))
                self._hear(issuer, shard)

    def _read(self, issuer: Issuer, shard: int, path: str) -> None:
        try:
            newest = x509.load_der_x509_crl(self._desk.store.get(path).body)
        except NotFound:
            return
        self.published[hashlib.sha256(newest.tbs_certlist_bytes).digest()] = path
        self._shards[issuer.key_id, scope_of(newest)] = issuer.id, shard

    def _hear(self, issuer: Issuer, shard: int) -> None:
        for event in journal.history(self._desk.store, f"crl:{issuer.id}:{crl.label(shard)}", _EVERY):
            for name in ("tbs_sha256", "delta_sha256"):
                self._told.add(bytes.fromhex(event["detail"].get(name, "")))

    def was_published(self, entry: Entry) -> bool:
        """Whether it is the newest, or the journal tells that it went out."""
        return entry.sha256 in self.published or entry.sha256 in self._told

    def says_what_the_records_say(self, entry: Entry) -> bool:
        """Whether its serials are those that were revoked then: none left out (but by a delta), none made up."""
        if (entry.key, entry.mark) not in self._shards or not entry.tbs:
            return False
        issuer, shard = self._shards[entry.key, entry.mark]
        serials = {one.serial_number for one in crl_of(entry.tbs)}
        facts = self._desk.store.revoked(issuer, shard, not_after_from=0)
        due = {one.serial for one in facts if one.revoked_at < entry.this_update <= one.not_after}
        known = {one.serial for one in facts} | self._desk.store.ever_held(issuer, shard)
        return (entry.mark.startswith(DELTA) or due <= serials) and serials <= known


def _finding(entry: Entry, why: str) -> Finding:
    return Finding(entry.kind, entry.key, entry.mark, entry.counter, why)


def _tbs_sha256(certificate: bytes) -> bytes:
    return hashlib.sha256(x509.load_der_x509_certificate(certificate).tbs_certificate_bytes).digest()


def _checkpoint(origin: str, size: int, head: bytes) -> bytes:
    return hashlib.sha256(Checkpoint(origin, size, head).text()).digest()
