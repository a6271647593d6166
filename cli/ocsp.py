"""`certwright ocsp`: asks the status plane as a relying party does, and believes nothing that it does not verify."""

import urllib.error
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING

import click

from ca.errors import BadRequest, CAError, NotFound, Unavailable
from cli.output import answer, facts
from cli.session import Session, command
from cli.types import find_certificate

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.x509.ocsp import OCSPResponse

SECONDS = 10


@command()
@click.argument("certificate")
@click.option("--url", default="", help="Ask there, instead of at server.status_url.")
def check(session: Session, certificate: str, url: str) -> int:
    """Asks for the status of a certificate (serial, SHA-256 or file) over HTTP, and verifies the answer.

    Exit code 0 for good, 1 for revoked, 3 when the responder knows no such certificate.
    """
    from cryptography import x509

    from ca.clock import rfc3339
    from ca.records import serial_hex

    with session.authority() as authority:
        one = find_certificate(authority, certificate)
        issuer = x509.load_der_x509_certificate(authority.store.issuer(one.issuer).certificate)
        leaf = x509.load_der_x509_certificate(one.der)
        where = url or f"{session.config.server.status_url}/ocsp"
        response = ask(where, leaf, issuer)
        verify(response, issuer, authority.clock())
    times = {"this_update": response.this_update_utc, "next_update": response.next_update_utc}
    shape = {
        "serial": serial_hex(response.serial_number),
        "status": response.certificate_status.name.lower(),
        "url": where,
        **{name: rfc3339(int(time.timestamp())) if time else None for name, time in times.items()},
        "revoked_at": rfc3339(int(at.timestamp())) if (at := response.revocation_time_utc) else None,
        "reason": response.revocation_reason.value if response.revocation_reason else None,
    }
    answer(session, shape, lambda: facts((name, value) for name, value in shape.items() if value))
    return 0 if shape["status"] == "good" else 1


def ask(url: str, leaf: "x509.Certificate", issuer: "x509.Certificate") -> "OCSPResponse":
    """The response, not yet verified.

    Raises `NotFound` for unauthorized, `Unavailable` for no answer, `BadRequest` for no URL of a responder.
    """
    from cryptography.hazmat.primitives.hashes import SHA1
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import ocsp

    request = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, SHA1()).build()  # noqa: S303 - what clients send
    if not url.lower().startswith(("http://", "https://")):
        raise BadRequest(f"{url} is no URL of a responder.", next_step="Write --url http://HOST:PORT/ocsp.")
    body, kind = request.public_bytes(Encoding.DER), {"Content-Type": "application/ocsp-request"}
    try:
        asked = urllib.request.Request(url, body, kind)  # noqa: S310 - the URL is the configuration's or the operator's
        with urllib.request.urlopen(asked, timeout=SECONDS) as reply:  # noqa: S310
            response = ocsp.load_der_ocsp_response(reply.read(1 << 20))
    except (urllib.error.URLError, HTTPException, OSError, ValueError) as error:
        raise Unavailable(f"{url} gave no OCSP answer: {error}.", next_step="Run 'certwright doctor'.") from None
    if response.response_status == ocsp.OCSPResponseStatus.UNAUTHORIZED:
        raise NotFound("The responder has no answer for this serial.", next_step="Short-lived ones have none.")
    if response.response_status != ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise Unavailable(f"The responder says {response.response_status.name.lower()}.")
    return response


def verify(response: "OCSPResponse", issuer: "x509.Certificate", now: int) -> None:
    """Signature by a responder that the issuer itself certified for OCSP, and times around now (RFC 6960 §3.2).

    Raises `CAError`.
    """
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    from cryptography.x509.oid import ExtendedKeyUsageOID

    from ca.keys.algorithms import algorithm_of, load_spki

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
