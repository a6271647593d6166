"""Asking as a relying party does: OCSP and CRL, at the addresses that stand in the certificate, verified on arrival.

Nothing of our own records is believed here; the answer is what a load balancer would get.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import urllib3
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from ca.clock import rfc3339
from ca.errors import CAError, NotFound, Unavailable
from ca.keys.algorithms import algorithm_of, load_spki

SECONDS = 5.0
LARGEST = 64 * 1024 * 1024
"""Octets of a CRL that are read."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one source says: `level` good, warn or bad."""

    source: str
    url: str
    level: str
    says: str


def check(der: bytes, issuer_der: bytes, now: int) -> tuple[Seen, ...]:
    """What OCSP and CRL say of a certificate now; never raises for an answer that is missing or wrong."""
    leaf, issuer = x509.load_der_x509_certificate(der), x509.load_der_x509_certificate(issuer_der)
    sources = [("OCSP", url, by_ocsp) for url in ocsp_urls(leaf)] + [("CRL", url, by_crl) for url in crl_urls(leaf)]
    if not sources:
        return (Seen("none", "", "good", "It names neither OCSP nor CRL: it is short-lived and simply ends."),)
    return tuple(_seen(source, url, partial(look, url, leaf, issuer, now)) for source, url, look in sources)


def _seen(source: str, url: str, look: Callable[[], str]) -> Seen:
    try:
        says = look()
    except CAError as error:
        return Seen(source, url, "bad", str(error))
    return Seen(source, url, "good" if says.startswith(("good", "not listed")) else "warn", says)


def ocsp_urls(leaf: x509.Certificate) -> list[str]:
    """The responders that a certificate names."""
    try:
        access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return []
    return [one.access_location.value for one in access if one.access_method == AuthorityInformationAccessOID.OCSP]


def crl_urls(leaf: x509.Certificate) -> list[str]:
    """The CRLs that a certificate names."""
    try:
        points = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return []
    return [name.value for point in points for name in point.full_name or ()]


def by_ocsp(url: str, leaf: x509.Certificate, issuer: x509.Certificate, now: int) -> str:
    """What the responder says, in words. Raises `CAError`."""
    response = ask(url, leaf, issuer)
    verify(response, issuer, now)
    return _words(response)


def ask(url: str, leaf: x509.Certificate, issuer: x509.Certificate) -> ocsp.OCSPResponse:
    """The response, not yet verified. Raises `NotFound` for unauthorized, `Unavailable` for no answer."""
    request = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, SHA1()).build()  # noqa: S303 - what clients send
    body = _fetch("POST", url, request.public_bytes(Encoding.DER))
    try:
        response = ocsp.load_der_ocsp_response(body)
    except ValueError as error:
        raise Unavailable(f"{url} gave no OCSP answer: {error}.", next_step="Run 'certwright doctor'.") from None
    if response.response_status == ocsp.OCSPResponseStatus.UNAUTHORIZED:
        raise NotFound("The responder has no answer for this serial.", next_step="Short-lived ones have none.")
    if response.response_status != ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise Unavailable(f"The responder says {response.response_status.name.lower()}.")
    return response


def _words(response: ocsp.OCSPResponse) -> str:
    until = response.next_update_utc
    times = f"as of {_time(response.this_update_utc)}, good until {_time(until)}"
    if response.certificate_status == ocsp.OCSPCertStatus.GOOD:
        return f"good, {times}"
    reason = f" for {response.revocation_reason.value}" if response.revocation_reason else ""
    return f"{response.certificate_status.name.lower()}{reason} at {_time(response.revocation_time_utc)}, {times}"


def _time(when: object) -> str:
    return rfc3339(int(when.timestamp())) if when else "-"  # type: ignore[attr-defined]


def verify(response: ocsp.OCSPResponse, issuer: x509.Certificate, now: int) -> None:
    """Signature by a responder that the issuer itself certified for OCSP, and times around now (RFC 6960 §3.2).

    Raises `CAError`.
    """
    try:
        [responder] = response.certificates
        responder.verify_directly_issued_by(issuer)
        usage = responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        key = load_spki(responder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
        signed = algorithm_of(key).verifies(key, response.signature, response.tbs_response_bytes)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound) as error:
        raise CAError(f"The OCSP answer is not by a responder of this issuer: {error}.") from None
    if not signed or ExtendedKeyUsageOID.OCSP_SIGNING not in usage:
        raise CAError("The OCSP answer is badly signed.", next_step="Run 'certwright doctor'.")
    following = response.next_update_utc
    if following is None or not response.this_update_utc.timestamp() <= now <= following.timestamp():
        raise CAError("The OCSP answer is not current.", next_step="Start the scheduler, and see its log.")


def by_crl(url: str, leaf: x509.Certificate, issuer: x509.Certificate, now: int) -> str:
    """What the CRL says, in words. Raises `CAError`."""
    try:
        crl = x509.load_der_x509_crl(_fetch("GET", url))
        signed = crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
    except (ValueError, TypeError) as error:
        raise CAError(f"That is no CRL of this issuer: {error}.") from None
    until = crl.next_update_utc
    if not signed or until is None or not crl.last_update_utc.timestamp() <= now <= until.timestamp():
        raise CAError("The CRL is badly signed, or not current.")
    entry = crl.get_revoked_certificate_by_serial_number(leaf.serial_number)
    times = f"as of {_time(crl.last_update_utc)}, good until {_time(until)}, {len(crl)} entries"
    return f"revoked at {_time(entry.revocation_date_utc)}, {times}" if entry else f"not listed, {times}"


def _fetch(method: str, url: str, body: bytes | None = None) -> bytes:
    """The body of a 200 over plain HTTP, without redirects. Raises `Unavailable`."""
    pool = urllib3.PoolManager(timeout=SECONDS, retries=False)
    kind = {"Content-Type": "application/ocsp-request"} if body else {}
    try:
        answer = pool.request(method, url, body=body, headers=kind, redirect=False, preload_content=False)
        read = answer.read(LARGEST)
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise Unavailable(f"{url} gave no answer: {error}.", next_step="Run 'certwright doctor'.") from None
    finally:
        pool.clear()
    if answer.status != 200:
        raise Unavailable(f"{url} answered {answer.status}.", next_step="Run 'certwright doctor'.")
    return read
