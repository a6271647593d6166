"""The unsigned answers (RFC 6960 §2.3, O-12): what an asker hears when there is nothing signed to say."""

from functools import cache

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp


@cache
def _refusal(status: ocsp.OCSPResponseStatus) -> bytes:
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)


def malformed_request() -> bytes:
    """The request is no OCSP request."""
    return _refusal(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)


def unauthorized() -> bytes:
    """Nothing is known here of that certificate: never `good`, never `unknown` (O-03, RFC 5019 §2.2.3)."""
    return _refusal(ocsp.OCSPResponseStatus.UNAUTHORIZED)


def try_later() -> bytes:
    """There will be an answer."""
    return _refusal(ocsp.OCSPResponseStatus.TRY_LATER)


def internal_error() -> bytes:
    """Something broke here."""
    return _refusal(ocsp.OCSPResponseStatus.INTERNAL_ERROR)
