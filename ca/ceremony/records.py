"""What a ceremony leaves in the records: each function is one transaction, whole or not at all."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca import crl
from ca.ceremony.plans import End, IssuingPlan
from ca.ceremony.room import Room
from ca.ceremony.transcript import Transcript, sha256
from ca.crl import Window
from ca.errors import NotFound
from ca.journal.keys import key_generated, key_moved
from ca.records import Actor, Event, Issuer, Key, Publication, Responder

CERTIFICATE = "application/pkix-cert"
PEM = "application/x-pem-file"

Lists = tuple[tuple[Window, bytes], ...]
"""CRLs of a root and when each of them speaks, by rising number."""


@dataclass(frozen=True, slots=True)
class Signed:
    """Everything that the first act has signed. `crls` is empty when the root was there before."""

    root: Issuer
    root_key: Key
    crls: Lists
    issuing: Issuer
    new_keys: tuple[Key, ...]
    transcript: Transcript


def issuing_record(plan: IssuingPlan, certificate: bytes, root_id: str, now: int) -> Issuer:
    """The record of an issuing CA: its key has the id of its generation."""
    state = "pre-active" if plan.waits else "active"
    return Issuer(plan.id, plan.name, "issuing", plan.id, certificate, root_id, plan.shards, state, now)


def certificate_path(issuer: str) -> str:
    """The publication path of an issuer's certificate in DER."""
    return f"ca/{issuer}.cer"


def spare_path(root: str, number: int) -> str:
    """Where a root's CRL waits for its time. The status plane has no URL for it."""
    return f"spares/{root}/{number:04d}.crl"


def recorded_certificate(room: Room, issuer: str) -> bytes:
    """The certificate that a ceremony has recorded for this issuer; empty when none has."""
    try:
        return room.publisher.get(certificate_path(issuer)).body
    except NotFound:
        return b""


def record_ceremony(room: Room, signed: Signed, actor: Actor) -> None:
    """Keys, root, publications and events of the signing act, in one transaction."""
    new_root = bool(signed.crls)
    with room.store.transaction():
        for key in (signed.root_key, *signed.new_keys) if new_root else signed.new_keys:
            room.store.add_key(key)
            room.journal.append(key_generated(key, actor))
        if new_root:
            room.store.add_issuer(signed.root)
            room.journal.append(_issuer_created(signed.root, actor))
            room.journal.append(crl_published(signed.root, *signed.crls[0], actor))
        for publication in _publications(room, signed):
            room.publisher.put(publication)
        room.journal.append(_performed(signed.issuing.id, signed.root.key_id, signed.transcript, actor))


def record_lists(room: Room, root: Issuer, made: Lists, transcript: Transcript, actor: Actor, end: End | None) -> None:
    """A root's next CRLs and, with them, the end of an issuing CA."""
    with room.store.transaction():
        for publication in _crls(root, made):
            room.publisher.put(publication)
        if end:
            room.store.set_issuer_state(end.issuer, "revoked")
            room.journal.append(
                Event("issuer.revoked", actor, f"issuer:{end.issuer}", key=root.key_id, reason=end.reason)
            )
        room.journal.append(crl_published(root, *made[0], actor))
        room.journal.append(_performed(root.id, root.key_id, transcript, actor))


def record_cross(room: Room, cross: Issuer, root: Issuer, transcript: Transcript, actor: Actor) -> None:
    """A cross certificate of that root: its record, what is published, and the events."""
    with room.store.transaction():
        room.store.add_issuer(cross)
        for publication in _certificate(cross, room.clock()):
            room.publisher.put(publication)
        detail = {"by": root.id, "of": cross.key_id, "sha256": sha256(cross.certificate)}
        room.journal.append(Event("issuer.cross-signed", actor, f"issuer:{cross.id}", key=root.key_id, detail=detail))
        room.journal.append(_performed(cross.id, root.key_id, transcript, actor))


def record_activation(room: Room, issuing: Issuer, responder: Responder, actor: Actor) -> None:
    """From here on the issuer issues, unless it was planned to wait: issuer, key, responder and events at once."""
    responder_key = room.signer.key(responder.key_id)
    with room.store.transaction():
        room.store.add_issuer(issuing)
        room.journal.append(_issuer_created(issuing, actor))
        room.store.set_key_state(issuing.key_id, "active")
        room.journal.append(key_moved(issuing.key_id, "pre-active", "active", actor))
        room.store.add_key(responder_key)
        room.store.add_responder(responder)
        detail = {"not_after": responder.not_after, "attributes": dict(responder_key.attributes)}
        room.journal.append(
            Event("responder.renewed", actor, f"responder:{responder.key_id}", key=responder.issuer, detail=detail)
        )


# --- publications -------------------------------------------------------------------------------


def _publications(room: Room, signed: Signed) -> Iterator[Publication]:
    now = room.clock()
    if signed.crls:
        yield from _certificate(signed.root, now)
        yield from _roots(room, signed.root, now)
        yield from _crls(signed.root, signed.crls)
    yield from _certificate(signed.issuing, now)
    yield Publication(f"chain/{signed.issuing.id}.pem", _pem([signed.issuing]), 1, PEM, now)


def _certificate(issuer: Issuer, now: int) -> Iterator[Publication]:
    yield Publication(certificate_path(issuer.id), issuer.certificate, 1, CERTIFICATE, now)
    yield Publication(f"ca/{issuer.id}.pem", _pem([issuer]), 1, PEM, now)


def _roots(room: Room, root: Issuer, now: int) -> Iterator[Publication]:
    """All roots in one file; its version is their number. The new one is in the records of this transaction."""
    roots = [one for one in room.store.issuers() if one.kind == "root"]
    yield Publication("roots.pem", _pem(roots), len(roots), PEM, now)


def _crls(root: Issuer, made: Lists) -> Iterator[Publication]:
    """The first one at once, the others as spares."""
    for window, der in made:
        first = window.number == made[0][0].number
        path = crl.shard_path(root.id, 0) if first else spare_path(root.id, window.number)
        yield Publication(path, der, window.number, crl.CONTENT_TYPE, window.this_update, window.next_update)


def _pem(issuers: Iterable[Issuer]) -> bytes:
    loaded = (x509.load_der_x509_certificate(one.certificate) for one in issuers)
    return b"".join(one.public_bytes(Encoding.PEM) for one in loaded)


# --- events -------------------------------------------------------------------------------------


def _issuer_created(issuer: Issuer, actor: Actor) -> Event:
    detail = {"kind": issuer.kind, "parent": issuer.parent, "sha256": sha256(issuer.certificate)}
    return Event("issuer.created", actor, f"issuer:{issuer.id}", key=issuer.key_id, detail=detail)


def crl_published(root: Issuer, window: Window, der: bytes, actor: Actor) -> Event:
    """A CRL of the root is out, the first or a spare."""
    detail = {"number": window.number, "next_update": window.next_update, "octets": len(der)}
    return Event("crl.published", actor, f"crl:{root.id}:0000", key=root.key_id, detail=detail)


def _performed(issuer: str, root_key: str, transcript: Transcript, actor: Actor) -> Event:
    """The whole transcript but for the witnesses' names, which stand erasably beside it; the hash is over all."""
    return Event(
        "ceremony.performed",
        actor,
        f"issuer:{issuer}",
        key=root_key,
        detail={"sha256": transcript.sha256, "transcript": msgspec.to_builtins(replace(transcript, witnesses=()))},
        personal={"witnesses": ", ".join(transcript.witnesses)} if transcript.witnesses else {},
    )
