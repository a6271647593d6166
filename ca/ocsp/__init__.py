"""OCSP (RFC 6960, 5019, 9654): requests become queries, queries become paths, and answers lie there signed.

What stands here needs no key and no record: the status plane works with it alone. Answers are made in
`ca.ocsp.response`.
"""

from ca.ocsp.paths import ALGORITHMS, KEPT, CertID, answer_path, cert_id, read_path
from ca.ocsp.refusals import internal_error, malformed_request, try_later, unauthorized
from ca.ocsp.request import OCSPQuery, from_path, parse_request

__all__ = [
    "ALGORITHMS",
    "KEPT",
    "CertID",
    "OCSPQuery",
    "answer_path",
    "cert_id",
    "from_path",
    "internal_error",
    "malformed_request",
    "parse_request",
    "read_path",
    "try_later",
    "unauthorized",
]
