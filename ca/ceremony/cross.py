"""Cross-signing: a root certifies the key of another CA, so that who trusts this root alone accepts that CA's leaves.

    cross_sign(room, root_plan, root_key, CrossPlan("root-g2-by-root-g1", new_root_der, life=YEARS), minutes)

Subject, public key and SubjectKeyIdentifier are those of the CA's own certificate; the rest is never wider. All is
signed, and the transcript handed out, before one transaction records it; after a failure the same call may be made.
"""

import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import AuthorityInformationAccessOID

from ca.ceremony.certificates import Extension, Parent, certify, extension
from ca.ceremony.hold import Minutes, note_certificate, note_key, recorded_root
from ca.ceremony.plans import CrossPlan, RootPlan
from ca.ceremony.records import record_cross
from ca.ceremony.room import Room
from ca.ceremony.root_key import RootKey, confirm_root_key
from ca.ceremony.subjects import crossing_period, demand_authority, demand_proven, key_identifier, narrowed, spki_of
from ca.ceremony.transcript import Scribe
from ca.errors import Conflict, PolicyDenied
from ca.issuer import Urls, authority_key_identifier, distribution_points, information_access
from ca.records import Issuer


def cross_sign(room: Room, root_plan: RootPlan, root_key: RootKey, plan: CrossPlan, minutes: Minutes) -> Issuer:
    """Makes, records and publishes the cross certificate; answers its record.

    Raises `Conflict` for an id that was used, what `demand_permitted` raises, `KeyMismatch` for another root's token,
    and the HSM family.
    """
    signer = room.store.issuer(root_plan.id)
    own = demand_permitted(room, signer, plan)
    scribe = Scribe(room.clock)
    note_key(scribe, "root key opened", root_key.record, token=root_key.token)
    confirm_root_key(root_key, root_plan, scribe)
    recorded_root(room, root_plan, root_key, scribe)
    note_certificate(scribe, "certificate to be cross-signed", plan.subject, proof=_proof(room, plan))
    der = cross_certificate(plan, Parent(signer.id, signer.certificate, root_key.private), room.urls, room.clock())
    note_certificate(scribe, f"{plan.id} signed by {signer.id}", der, **_limits(plan))
    transcript = scribe.finish(f"Ceremony for {plan.id}", minutes.witnesses, minutes.attestation)
    minutes.archive(transcript)
    name, key_id = (own.name, own.key_id) if own else (plan.id, "")
    cross = Issuer(plan.id, name, "cross", key_id, der, signer.id, 0, "cross-signed", room.clock())
    record_cross(room, cross, signer, transcript, minutes.actor)
    return cross


def _limits(plan: CrossPlan) -> dict[str, object]:
    permitted = list(plan.permitted) or ["as in its own certificate"]
    length = "as in its own certificate" if plan.path_length is None else plan.path_length
    return {"permitted": permitted, "path_length": length}


def demand_permitted(room: Room, signer: Issuer, plan: CrossPlan) -> Issuer | None:
    """Looks at all that can be refused before the root's token is opened; answers the CA of the records, if it is one.

    Raises `Conflict`, `PolicyDenied`, `BadRequest`, `BadCSR` and `BadPublicKey`.
    """
    known = room.store.issuers()
    if any(one.id == plan.id for one in known):
        raise Conflict(
            f"{plan.id} exists already.", next_step=f"See 'certwright ca show {plan.id}'; a further one needs --id."
        )
    if signer.kind != "root" or signer.state != "active":
        raise Conflict(f"{signer.id} is no root that signs.", next_step="See 'certwright ca list'.")
    certificate = x509.load_der_x509_certificate(plan.subject)
    demand_authority(certificate)
    if room.store.is_blocked(hashlib.sha256(spki_of(certificate)).hexdigest()):
        raise PolicyDenied("The key of that CA is compromised.", next_step="See 'certwright key blocked'.")
    own = _recorded(room, plan)
    _demand_other(known, signer, certificate, own)
    _proof(room, plan)
    crossing_period(certificate, signer.certificate, plan.life, room.clock())
    narrowed(certificate, x509.load_der_x509_certificate(signer.certificate), plan)
    return own


def _recorded(room: Room, plan: CrossPlan) -> Issuer | None:
    """The CA of the records whose certificate it is."""
    return next((one for one in room.store.issuers() if one.certificate == plan.subject and one.kind != "cross"), None)


def _proof(room: Room, plan: CrossPlan) -> str:
    certificate = x509.load_der_x509_certificate(plan.subject)
    return demand_proven(certificate, plan.request, _recorded(room, plan) is not None)


def _demand_other(known: tuple[Issuer, ...], signer: Issuer, certificate: x509.Certificate, own: Issuer | None) -> None:
    """Another CA than the signer and those under it, and none that borrows the name of one of ours."""
    spki = spki_of(certificate)
    for one in known:
        other = x509.load_der_x509_certificate(one.certificate)
        same_key = other.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == spki
        if same_key and one.kind != "cross" and signer.id in (one.id, one.parent):
            raise Conflict(f"{one.id} needs no cross certificate of {signer.id}.", next_step="Name another CA.")
        if other.subject == certificate.subject and not same_key:
            raise PolicyDenied(
                f"That CA has the name of {one.id} and another key: relying parties could not tell them apart.",
                next_step="Make it with a name of its own, for instance by 'ca init --organization'.",
            )
        if same_key and one.kind != "cross" and one.state == "revoked":
            raise Conflict(f"{one.id} is revoked.", next_step="Make its next generation, and cross-sign that.")
    if own is not None and own.state not in ("pre-active", "active", "retired"):
        raise Conflict(f"{own.id} is {own.state}.", next_step="See 'certwright ca list'.")


def cross_certificate(plan: CrossPlan, parent: Parent, urls: Urls, now: int) -> bytes:
    """DER of the certificate of another CA's key by this root.

    Raises what `demand_permitted` does about its limits, and the HSM family.
    """
    subject, issuer = x509.load_der_x509_certificate(plan.subject), x509.load_der_x509_certificate(parent.certificate)
    period = crossing_period(subject, parent.certificate, plan.life, now)
    extensions = [
        *_limiting(subject, issuer, plan),
        extension(key_identifier(subject)),
        extension(authority_key_identifier(issuer)),
        extension(information_access([(AuthorityInformationAccessOID.CA_ISSUERS, urls.certificate(parent.id))])),
        extension(distribution_points(urls.crl(parent.id, 0))),
    ]
    return certify(parent.key, issuer.subject, subject.subject, spki_of(subject), period, extensions)


def _limiting(subject: x509.Certificate, issuer: x509.Certificate, plan: CrossPlan) -> list[Extension]:
    basic, usage, names, extended = narrowed(subject, issuer, plan)
    found = [extension(basic, critical=True), extension(usage, critical=True)]
    if names is not None:
        found.append(extension(names, critical=True))
    if extended is not None:
        found.append(extension(extended))
    return found
