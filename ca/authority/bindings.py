"""TLS client certificates that are bound to people, and so sign them in: see `ca.authority.certificate_sign_on`.

Who has the service's host binds them, as he makes links. To end a binding is open to an administrator and to its
person, and takes a fresh proof.
"""

import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.authority.certificate_sign_on import demand_good, demand_purpose
from ca.authority.desk import Desk
from ca.authority.seat import Seat
from ca.errors import BadRequest, Conflict, Unauthenticated
from ca.people import ClientCertificate, Right, demand_fresh
from ca.profiles import certificate_period
from ca.records import Actor, Event


def own(desk: Desk, seat: Seat) -> tuple[ClientCertificate, ...]:
    """The certificates that sign the person in."""
    return desk.store.client_certificates(seat.person.id)


def give_up(desk: Desk, seat: Seat, sha256: str) -> None:
    """Ends one of the person's own bindings. Raises `StepUpNeeded`, and `NotFound` for another's."""
    demand_fresh(seat.sign_in, desk.clock(), desk.config.ui.fresh)
    unbind(desk, seat.person.id, sha256, seat.actor)


def everybodys(desk: Desk, seat: Seat) -> tuple[ClientCertificate, ...]:
    """All bindings, by person."""
    seat.demand(Right.SEE_PEOPLE)
    return desk.store.client_certificates()


def unbind_of(desk: Desk, seat: Seat, name: str, sha256: str) -> None:
    """Ends a binding of that person. Raises `NotFound`."""
    seat.demand(Right.MANAGE_PEOPLE, fresh=True)
    unbind(desk, name, sha256, seat.actor)


# --- bound and unbound --------------------------------------------------------------------------


def bind(desk: Desk, name: str, certificate: x509.Certificate, actor: Actor) -> ClientCertificate:
    """From now on this certificate signs that person in. Raises `NotFound`, `BadRequest` for one that could not, and
    `Conflict` for a person of the provider and for a certificate that is bound.
    """
    person = desk.store.person(name)
    if person.subject:
        raise Conflict(f"{name} signs in at the provider.", next_step="Put him into a group there.")
    one = _binding(desk, name, certificate, actor)
    try:
        with desk.store.transaction():
            desk.store.bind_certificate(one)
            desk.journal.append(_event("user.certificate-bound", one, actor))
    except Conflict:
        raise Conflict(
            "This certificate is bound already.", next_step="See 'certwright user certificate list'."
        ) from None
    return one


def sha256_of(certificate: x509.Certificate) -> str:
    """By which a certificate is bound: SHA-256 of its DER, in hex."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def _binding(desk: Desk, name: str, certificate: x509.Certificate, actor: Actor) -> ClientCertificate:
    der = certificate.public_bytes(Encoding.DER)
    sha256, end, now = sha256_of(certificate), certificate_period(der).not_after, desk.clock()
    try:
        demand_purpose(der)
        demand_good(desk, sha256)
    except Unauthenticated as error:
        raise BadRequest(error.detail, next_step="Take a certificate with clientAuth that is good here.") from None
    if end <= now:
        raise BadRequest("This certificate has expired.", next_step="Take a new one.")
    return ClientCertificate(sha256, name, _called(certificate), end, now, str(actor))


def _called(certificate: x509.Certificate) -> str:
    """Its subject, or without one its names: for people to read, and nothing goes by it."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        names = x509.SubjectAlternativeName([])
    return (certificate.subject.rfc4514_string() or ", ".join(str(one.value) for one in names))[:200]


def unbind(desk: Desk, name: str, sha256: str, actor: Actor) -> None:
    """Ends a binding at once, and whatever its person is signed in with. Raises `NotFound`."""
    with desk.store.transaction():
        one = desk.store.client_certificate(sha256)
        desk.store.unbind_certificate(name, sha256)
        desk.store.end_sign_ins(name, desk.clock())
        desk.journal.append(_event("user.certificate-unbound", one, actor))


def _event(action: str, one: ClientCertificate, actor: Actor) -> Event:
    return Event(action, actor, f"user:{one.person}", detail={"sha256": one.sha256})
