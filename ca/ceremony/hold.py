"""Holding a ceremony: a root if there is none yet, an issuing CA under it, and then its activation.

    outcome = hold(Room(store, journal, publisher, signer, clock, status_url), root_plan, plan, root_key, minutes)

Three acts, so that a failure anywhere leaves nothing half-way, and the same call goes on:
1. everything is signed, and the transcript handed out; nothing is recorded. A repetition finds the keys again.
2. one transaction records keys, root, publications and the journal's events.
3. the signer takes the issuing certificate (the one that was recorded, also after a crash) and makes the first
   OCSP responder; one transaction opens the issuer for issuance.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from cryptography import x509

from ca.ceremony.certificates import Parent, certification_request, issuing_certificate, root_certificate
from ca.ceremony.lists import sign_lists
from ca.ceremony.plans import IssuingPlan, RootPlan
from ca.ceremony.records import Lists, Signed, issuing_record, record_activation, record_ceremony, recorded_certificate
from ca.ceremony.room import Room
from ca.ceremony.root_key import RootKey, confirm_root_key
from ca.ceremony.transcript import Scribe, Transcript, sha256
from ca.clock import rfc3339
from ca.errors import Conflict, KeyMismatch, NotFound
from ca.keys.client import private_key
from ca.profiles import certificate_period
from ca.records import Actor, Issuer, Key, KeyPurpose, SignKind, serial_hex

JOURNAL_KEY = "journal-g1"


@dataclass(frozen=True, slots=True)
class Minutes:
    """Who holds the ceremony and who sees it. `archive` gets the transcript before anything is recorded."""

    actor: Actor
    archive: Callable[[Transcript], None]
    witnesses: tuple[str, ...] = ()
    attestation: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What there is now. `resumed` when an earlier ceremony had signed already and this one only activated."""

    root: Issuer
    issuing: Issuer
    resumed: bool


def hold(room: Room, root_plan: RootPlan, plan: IssuingPlan, root_key: RootKey, minutes: Minutes) -> Outcome:
    """Makes the issuing CA of the plan, and the root when there is none of that id yet.

    Raises `Conflict` when the issuing CA exists, `KeyMismatch` when the root's key is another than recorded,
    and the HSM family. After any error the same call may be made again.
    """
    if any(one.id == plan.id for one in room.store.issuers()):
        raise Conflict(f"{plan.id} exists already.", next_step="A generation is never made twice: plan the next one.")
    resumed = recorded_certificate(room, plan.id) != b""
    if not resumed:
        signed = _sign(room, root_plan, plan, root_key, minutes)
        record_ceremony(room, signed, minutes.actor)
    issuing = _activate(room, plan, root_plan.id, minutes.actor)
    return Outcome(room.store.issuer(root_plan.id), issuing, resumed)


# --- act 1: signing -----------------------------------------------------------------------------


def _sign(room: Room, root_plan: RootPlan, plan: IssuingPlan, root_key: RootKey, minutes: Minutes) -> Signed:
    scribe = Scribe(room.clock)
    note_key(scribe, "root key opened", root_key.record, token=root_key.token)
    confirm_root_key(root_key, root_plan, scribe)
    root, crls = _root(room, root_plan, root_key, scribe)
    journal_key = _journal_key(room, scribe)
    key = _issuing_key(room, plan, scribe)
    certificate = _certify(room, plan, key, Parent(root.id, root.certificate, root_key.private), scribe)
    transcript = scribe.finish(f"Ceremony for {root.id} and {plan.id}", minutes.witnesses, minutes.attestation)
    minutes.archive(transcript)
    return Signed(
        root=root,
        root_key=root_key.record,
        crls=crls,
        issuing=issuing_record(plan, certificate, root.id, room.clock()),
        new_keys=tuple(k for k in (key, journal_key) if not _is_recorded(room, k)),
        transcript=transcript,
    )


def _root(room: Room, plan: RootPlan, key: RootKey, scribe: Scribe) -> tuple[Issuer, Lists]:
    """The recorded root, or a new one with its CRL and the spares."""
    try:
        return recorded_root(room, plan, key, scribe), ()
    except NotFound:
        now = room.clock()
        certificate = root_certificate(plan, key.private, now)
        note_certificate(scribe, "root certificate signed by itself", certificate)
        # Shards are for issuance: a root has none, its one CRL is signed at ceremonies.
        root = Issuer(plan.id, plan.name, "root", plan.id, certificate, shards=0, created_at=now)
        return root, sign_lists(root, plan, key, scribe, now, number=1, revoked=[])


def recorded_root(room: Room, plan: RootPlan, key: RootKey, scribe: Scribe) -> Issuer:
    """The root of the records, whose key is at hand. Raises `NotFound` and `KeyMismatch`."""
    root = room.store.issuer(plan.id)
    if room.store.key(root.key_id).spki != key.record.spki:
        raise KeyMismatch(
            f"The token holds another key than that of {root.id}.", next_step="Bring the token of the first ceremony."
        )
    note_certificate(scribe, "root certificate found in the records", root.certificate)
    return root


def _issuing_key(room: Room, plan: IssuingPlan, scribe: Scribe) -> Key:
    key = _generated(room, plan.id, KeyPurpose.ISSUING, plan.algorithm)
    if key.state != "pre-active" or key.algorithm != plan.algorithm:
        raise Conflict(
            f"The signer has a key {plan.id} of the kind {key.algorithm} that is {key.state}.",
            next_step="Plan the next generation.",
        )
    note_key(scribe, "issuing key generated in the signer's token, test signature verified there", key)
    return replace(key, owner=plan.owner)


def _journal_key(room: Room, scribe: Scribe) -> Key:
    """The key that signs the journal's head: one for the whole authority."""
    key = _generated(room, JOURNAL_KEY, KeyPurpose.JOURNAL, "ed25519")
    note_key(scribe, "journal key in the signer's token", key)
    return key


def _generated(room: Room, key_id: str, purpose: KeyPurpose, algorithm: str) -> Key:
    """A new key in the signer; the one of that id when an earlier ceremony has made it."""
    try:
        return room.signer.generate(key_id, purpose, algorithm)
    except Conflict:
        return room.signer.key(key_id)


def _certify(room: Room, plan: IssuingPlan, key: Key, parent: Parent, scribe: Scribe) -> bytes:
    request = certification_request(plan, private_key(room.signer, key, SignKind.CSR))
    scribe.note("request of the issuing key", sha256=sha256(request))
    certificate = issuing_certificate(plan, request, parent, room.urls, room.clock())
    permitted = list(plan.permitted) or ["everything: --unconstrained was said"]
    note_certificate(scribe, f"certificate of {plan.id} signed by {parent.id}", certificate, permitted=permitted)
    return certificate


def _is_recorded(room: Room, key: Key) -> bool:
    recorded = room.store.keys()
    return any(one.id == key.id for one in recorded)


# --- act 3: activation --------------------------------------------------------------------------


def _activate(room: Room, plan: IssuingPlan, root_id: str, actor: Actor) -> Issuer:
    certificate = recorded_certificate(room, plan.id)
    room.signer.certify(plan.id, certificate)
    responder = room.signer.renew_responder(plan.id)
    issuing = issuing_record(plan, certificate, root_id, room.clock())
    record_activation(room, issuing, responder, actor)
    return issuing


# --- what the transcript says -------------------------------------------------------------------


def note_key(scribe: Scribe, action: str, key: Key, **more: object) -> None:
    """Which key it is, where it is kept, and what its token says of it."""
    scribe.note(
        action,
        key=key.id,
        algorithm=key.algorithm,
        spki_sha256=sha256(key.spki),
        kept_in="a software token" if key.software else "hardware",
        attributes=dict(key.attributes),
        **more,
    )


def note_certificate(scribe: Scribe, action: str, der: bytes, **more: object) -> None:
    """What a certificate says, and its hash."""
    certificate = x509.load_der_x509_certificate(der)
    period = certificate_period(der)
    scribe.note(
        action,
        subject=certificate.subject.rfc4514_string(),
        serial=serial_hex(certificate.serial_number),
        not_before=rfc3339(period.not_before),
        not_after=rfc3339(period.not_after),
        sha256=sha256(der),
        **more,
    )
