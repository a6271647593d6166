"""What a client would see: OCSP and CRL from the addresses that stand in the certificate, in words for people."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from cryptography import x509
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from ca import relying
from ca.clock import rfc3339
from ca.errors import CAError

SECONDS = 5.0


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
    """What the responder says. Raises `CAError`."""
    asked = relying.request(issuer, leaf.serial_number)
    response = relying.read_answer(relying.fetch(url, asked, seconds=SECONDS))
    relying.verify_answer(response, issuer, now)
    times = _times(response.this_update_utc, response.next_update_utc)
    if response.certificate_status == ocsp.OCSPCertStatus.GOOD:
        return f"good, {times}"
    reason = f" for {response.revocation_reason.value}" if response.revocation_reason else ""
    return f"{response.certificate_status.name.lower()}{reason} at {_time(response.revocation_time_utc)}, {times}"


def by_crl(url: str, leaf: x509.Certificate, issuer: x509.Certificate, now: int) -> str:
    """What the CRL says. Raises `CAError`."""
    crl = relying.read_crl(relying.fetch(url, seconds=SECONDS), issuer, now)
    entry = crl.get_revoked_certificate_by_serial_number(leaf.serial_number)
    times = f"{_times(crl.last_update_utc, crl.next_update_utc)}, {len(crl)} entries"
    return f"revoked at {_time(entry.revocation_date_utc)}, {times}" if entry else f"not listed, {times}"


def _times(since: datetime, until: datetime | None) -> str:
    return f"as of {_time(since)}, good until {_time(until)}"


def _time(when: datetime | None) -> str:
    return rfc3339(int(when.timestamp())) if when else "-"
