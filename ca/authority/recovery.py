"""After a restore: what the signer's ledger and the published CRLs know, and the database has forgotten.

The ledger has the TBS of each certificate and of each shard's newest CRL. Certificates come back as imported intents:
what was signed is known, the signature is not; each has a status and can be revoked. Revocations come back from CRLs.
Every number goes on above what was used, and the journal goes on above the size that was signed, with an entry that
tells of the gap. Everything here may be done twice.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cryptography import x509

from ca import journal
from ca.authority import adopt, standing
from ca.authority.desk import Desk
from ca.authority.standing import Restored
from ca.errors import Conflict
from ca.keys import ledger
from ca.keys.ledger import Entry
from ca.names import of_general
from ca.records import Actor, Event, Intent, Issuer, SignKind, serial_hex

SOURCE = Actor("system", "ledger")
"""Who asked for what the ledger alone knows: nobody remembers."""


@dataclass(slots=True)
class Recovered:
    """What came back: certificates, revocations, lost journal entries; `missing` names CRLs that could not be read."""

    certificates: int = 0
    revocations: int = 0
    journal: int = 0
    missing: list[str] = field(default_factory=list)


def recover(desk: Desk, entries: Iterable[Entry], actor: Actor) -> Recovered:
    """Makes the records know what the ledger knows; the service stays revoke-only. Raises what reading it raises."""
    found = Recovered()
    newest = _Newest()
    issuers = {one.key_id: one for one in desk.store.issuers() if one.kind == "issuing"}
    for entry in entries:
        newest.enter(entry)
        if entry.kind == SignKind.CERTIFICATE and entry.key in issuers:
            found.certificates += _import(desk, issuers[entry.key], entry)
    _adopt(desk, issuers, newest, actor, found)
    with desk.store.transaction():
        desk.store.raise_answers()
        desk.store.leap_publications()
        found.journal = _bridge(desk, newest.journal, found, actor)
        before = standing.restored(desk)
        why = before.why if before else "the database was restored from a backup."
        standing.keep(desk.store, Restored(before.since if before else desk.clock(), why, recovered=True))
    return found


def confirm(desk: Desk, actor: Actor) -> None:
    """An operator's word that credentials may be believed again. Raises `Conflict` when it is not the time for that."""
    state = standing.restored(desk)
    if state is None:
        raise Conflict("There is no restore to confirm: the service issues as ever.")
    behind = standing.length(desk) < desk.signer.health().journal
    if behind or not state.recovered:
        raise Conflict("The database is still behind the signer's ledger.", next_step=standing.NEXT)
    with desk.store.transaction():
        standing.keep(desk.store, None)
        desk.journal.append(Event("restore.confirmed", actor, "database", detail={"since": state.since}))


# --- what was signed last -----------------------------------------------------------------------


@dataclass
class _Newest:
    """The newest CRL of each scope that the ledger holds, the highest number of each, and the longest journal."""

    crls: dict[tuple[str, str], Entry] = field(default_factory=dict)
    numbers: dict[tuple[str, str], Entry] = field(default_factory=dict)
    journal: Entry | None = None

    def enter(self, entry: Entry) -> None:
        """One entry, in the order of the ledger: numbers only rise."""
        if entry.kind == SignKind.CRL and not entry.mark.startswith(ledger.DELTA):
            self.numbers[entry.key, entry.mark] = entry
            if entry.tbs:
                self.crls[entry.key, entry.mark] = entry
        elif entry.kind == SignKind.CHECKPOINT and (self.journal is None or entry.number > self.journal.number):
            self.journal = entry


# --- certificates -------------------------------------------------------------------------------


def _import(desk: Desk, issuer: Issuer, entry: Entry) -> bool:
    leaf = ledger.certificate_of(entry.tbs)
    intent = Intent(
        id=f"ledger-{entry.counter}",
        issuer=issuer.id,
        serial=leaf.serial_number,
        tbs=entry.tbs,
        profile="imported",
        not_before=int(leaf.not_valid_before_utc.timestamp()),
        not_after=int(leaf.not_valid_after_utc.timestamp()),
        actor=SOURCE,
        names=tuple(map(of_general, leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)),
        state="imported",
        created_at=entry.time,
    )
    with desk.store.transaction():
        if not desk.store.adopt(intent, answered=not _unrevocable(leaf)):
            return False
        target = f"certificate:{issuer.id}:{serial_hex(intent.serial)}"
        detail = {"counter": entry.counter, "tbs_sha256": entry.sha256.hex()}
        names = {"names": " ".join(map(str, intent.names))}
        desk.journal.append(Event("certificate.imported", SOURCE, target, key=issuer.id, detail=detail, personal=names))
    return True


def _unrevocable(leaf: x509.Certificate) -> bool:
    return any(one.oid.dotted_string == "2.5.29.56" for one in leaf.extensions)


# --- revocations --------------------------------------------------------------------------------


def _adopt(desk: Desk, issuers: Mapping[str, Issuer], newest: "_Newest", actor: Actor, found: Recovered) -> None:
    """What the newest CRL of each scope tells: the ledger's TBS or, where that is too large for it, the folder's."""
    signed = [(issuers[key], ledger.crl_of(entry.tbs)) for (key, _), entry in newest.crls.items() if key in issuers]
    published = list(adopt.published_crls(desk))
    found.revocations += len(adopt.take_over(desk, signed, actor).adopted)
    found.revocations += len(adopt.adopt(desk, published, actor).adopted)
    known = {_place(one) for _, one in signed} | {_place(x509.load_der_x509_crl(body)) for body in published}
    last = {(entry.mark, entry.number) for (key, _), entry in newest.numbers.items() if key in issuers}
    found.missing += [f"CRL {number} of the scope {mark}" for mark, number in sorted(last - known)]


def _place(one: x509.CertificateRevocationList) -> tuple[str, int]:
    return ledger.scope_of(one), one.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


# --- the journal --------------------------------------------------------------------------------


def _bridge(desk: Desk, signed: Entry | None, found: Recovered, actor: Actor) -> int:
    """Tells of the restore in an entry that stands above all that was signed; answers how many entries are lost."""
    size = standing.length(desk)
    lost = max(0, signed.number - size) if signed else 0
    detail: dict[str, object] = {"from": size, "to": size + lost, "certificates": found.certificates}
    detail |= {"revocations": found.revocations, "missing": found.missing}
    detail |= {"lost_head_sha256": signed.sha256.hex()} if signed and lost else {}
    event = Event("restore.performed", actor, "database", detail=detail)
    if lost:
        journal.leap(desk.store, desk.journal, event, size + lost)
    else:
        desk.journal.append(event)
    return lost
