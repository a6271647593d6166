"""Signing in by a TLS client certificate that an operator has bound to a person.

It takes two doors. The main one, which ACME clients and the API share and which never asks for a certificate, opens a
round: a secret in the browser's cookie, and its SHA-256, the state, in a URL of the other door. That one
(`web.certificate_door`) asks for a certificate in the TLS handshake, and hands over a code which is good once, within
a minute, and at the main door only beside the cookie of the same round.

A certificate is no proof that somebody is there: it makes no sign-in fresh, confirms and approves nothing.
"""

import hashlib
import secrets
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from ca.authority import signin
from ca.authority.desk import Desk
from ca.authority.people import digest
from ca.authority.signin import Client, Opened, journalled
from ca.errors import NotFound, Unauthenticated
from ca.people import Person

ROUND_LIFE = 300
"""Seconds in which the browser has to show a certificate: somebody may have to fetch his card and type its PIN."""

CODE_LIFE = 60
OPEN_ROUNDS = 10_000
ASKED, HANDED = "certificate", "certificate-code"


def offered(desk: Desk) -> bool:
    """Whether there is such a door."""
    return bool(desk.config.ui.client_certificates.listen)


def door_url(desk: Desk) -> str:
    """Where browsers find the door."""
    config = desk.config.ui.client_certificates
    host = urlsplit(desk.config.server.public_url).hostname or ""
    return config.url or f"https://{f'[{host}]' if ':' in host else host}:{config.listen.rpartition(':')[2]}"


# --- there and back -----------------------------------------------------------------------------


def begin(desk: Desk, secret: str) -> str:
    """Where the browser that keeps the secret has to show its certificate. Raises `NotFound` without such a door."""
    if not offered(desk):
        raise NotFound("Nobody signs in by a certificate here.", next_step="Sign in by a passkey or a password.")
    state, now = digest(secret), desk.clock()
    desk.store.add_challenge(digest(state), ASKED, now, now + ROUND_LIFE, OPEN_ROUNDS)
    return f"{door_url(desk)}/sign-in?state={state}"


def hand_over(desk: Desk, state: str, der: bytes) -> str:
    """The code for a certificate whose key TLS has proved; that round ends by it. Raises `Unauthenticated`."""
    with journalled(desk, "unknown", "certificate"):
        now = desk.clock()
        if not desk.store.use_challenge(digest(state), ASKED, now):
            raise _refused("This sign-in took too long, or was used already.")
        sha256 = hashlib.sha256(der).hexdigest()
        demand_purpose(der)
        _holder(desk, sha256)
        code = f"{sha256}.{secrets.token_urlsafe(32)}"
        desk.store.add_challenge(digest(f"{state} {code}"), HANDED, now, now + CODE_LIFE, OPEN_ROUNDS)
        return code


def finish(desk: Desk, secret: str, code: str, client: Client) -> Opened:
    """Signs in whose certificate was shown in that round; no fresh proof. Raises `Unauthenticated`."""
    with journalled(desk, "unknown", "certificate"):
        if not desk.store.use_challenge(digest(f"{digest(secret)} {code}"), HANDED, desk.clock()):
            raise _refused("This sign-in took too long, was used already, or began in another browser.")
        person = _holder(desk, code.partition(".")[0])
    return signin.open_for(desk, person, "certificate", client, fresh_at=0)


def _holder(desk: Desk, sha256: str) -> Person:
    """Whom a certificate signs in now. Raises `Unauthenticated`."""
    try:
        bound = desk.store.client_certificate(sha256)
    except NotFound:
        raise _refused("This certificate is bound to nobody here.") from None
    demand_good(desk, sha256)
    person = desk.store.person(bound.person)
    if person.subject:  # or whoever left the provider's groups would stay in
        raise _refused("Its owner signs in at the provider.")
    return person


def _refused(why: str) -> Unauthenticated:
    return Unauthenticated(why, next_step="Begin again at the sign-in page, or sign in another way.")


# --- which certificates are good ----------------------------------------------------------------


def trusted_pem(desk: Desk) -> str:
    """PEM of what certificates have to lead to: the roots of `ca_file`, or this CA's own unrevoked certificates.

    Not those of CAs that a root of ours has cross-signed: who signs in is not theirs to say.
    """
    file = desk.config.ui.client_certificates.ca_file
    if file:
        return desk.config.path(file).read_text()
    own = (one.certificate for one in desk.store.issuers() if one.state != "revoked" and one.kind != "cross")
    return "".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM).decode() for der in own)


def demand_good(desk: Desk, sha256: str) -> None:
    """Our own stand in the records, and are neither revoked nor held; of another CA's we know the binding alone.

    Raises `Unauthenticated`.
    """
    try:
        found = desk.store.by_sha256(sha256)
    except NotFound:
        if desk.config.ui.client_certificates.ca_file:
            return
        raise _refused("This certificate does not stand in the records of this CA.") from None
    if found.revoked_at or desk.store.issuer(found.issuer).state == "revoked":
        raise _refused("This certificate is revoked or held.")


def demand_purpose(der: bytes) -> None:
    """TLS lets a certificate pass that names no purpose; it has to name this one. Raises `Unauthenticated`."""
    try:
        found = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, x509.ExtensionNotFound):
        raise _refused("This certificate does not say what it is for.") from None
    if ExtendedKeyUsageOID.CLIENT_AUTH not in found:
        raise _refused("This certificate is not for TLS clients (clientAuth).")
