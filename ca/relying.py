"""What relying parties do: fetch CRLs and OCSP answers over HTTP, and believe nothing that they do not verify.

It is how this CA looks at itself from outside: for the stopwatch of a revocation, and for the probe of freshness.
"""

import urllib.request
from collections.abc import Callable
from http.client import HTTPException

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from ca.errors import BadRequest, CAError, NotFound, Unavailable
from ca.keys.algorithms import algorithm_of, load_spki
from ca.ocsp import ALGORITHMS, cert_id

SECONDS = 10.0
LARGEST = 80 << 20
"""Octets of the largest answer: a list over a million certificates."""

Fetch = Callable[[str, bytes], bytes]
"""The body at a URL: GET, or POST of an OCSP request when there are octets to send. Raises `Unavailable`."""

# No proxy: what is asked is what stands in certificates, as a machine beside this one would reach it.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(url: str, body: bytes = b"", *, seconds: float = SECONDS) -> bytes:
    """The body over HTTP; no wait is longer than `seconds`.

    Raises `Unavailable`, and `BadRequest` for what is no URL of HTTP.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise BadRequest(f"{url} is no URL of HTTP.", next_step="Write http://HOST:PORT/….")
    headers = {"Content-Type": "application/ocsp-request"} if body else {}
    try:
        asked = urllib.request.Request(url, body or None, headers)  # noqa: S310 - a URL of the configuration
        with _opener.open(asked, timeout=seconds) as reply:
            return bytes(reply.read(LARGEST))
    except (HTTPException, OSError, ValueError) as error:
        # What a stranger wrote is shown, and never obeyed by the reader's terminal.
        why = ascii(str(error))[1:-1][:200] or type(error).__name__
        raise Unavailable(f"{url} gave no answer: {why}.", next_step="Run 'certwright doctor'.") from None


# --- OCSP ---------------------------------------------------------------------------------------


def request(issuer: x509.Certificate, serial: int, nonce: bytes = b"") -> bytes:
    """The OCSP request for a serial, with a SHA-1 CertID as all clients send it."""
    who = cert_id(issuer, serial, "sha1")
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(who.name_hash, who.key_hash, serial, ALGORITHMS["sha1"])
    if nonce:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def read_answer(body: bytes) -> ocsp.OCSPResponse:
    """A successful response, not verified yet. Raises `NotFound` for unauthorized, `Unavailable` for any other."""
    try:
        response = ocsp.load_der_ocsp_response(body)
    except ValueError as error:
        raise Unavailable(f"That is no OCSP answer: {error}.", next_step="Run 'certwright doctor'.") from None
    if response.response_status == ocsp.OCSPResponseStatus.UNAUTHORIZED:
        raise NotFound("The responder has no answer for this serial.", next_step="Short-lived ones have none.")
    if response.response_status != ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise Unavailable(f"The responder says {response.response_status.name.lower()}.")
    return response


def verify_answer(response: ocsp.OCSPResponse, issuer: x509.Certificate, now: int) -> None:
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


# --- CRLs ---------------------------------------------------------------------------------------


def read_crl(body: bytes, issuer: x509.Certificate, now: int) -> x509.CertificateRevocationList:
    """A CRL that the issuer signed and that is current. Raises `CAError`."""
    key = issuer.public_key()
    try:
        crl = x509.load_der_x509_crl(body)
        signed = algorithm_of(key).verifies(key, crl.signature, crl.tbs_certlist_bytes)  # type: ignore[arg-type]
    except ValueError as error:
        raise CAError(f"That is no CRL: {error}.", next_step="See the scheduler's log.") from None
    if not signed or crl.issuer != issuer.subject:
        raise CAError("The CRL is not signed by its issuer.", next_step="Run 'certwright doctor'.")
    following = crl.next_update_utc
    if following is None or not crl.last_update_utc.timestamp() <= now <= following.timestamp():
        raise CAError("The CRL is not current.", next_step="Start the scheduler, and see its log.")
    return crl
