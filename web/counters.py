"""What Certwright counts: the short, stable list of docs/metrics.md.

Import this module only after `web.metrics.prepare`: where PROMETHEUS_MULTIPROC_DIR is set by then, the values
live in files that all processes of a node share; otherwise they stay in this process.
"""

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram

from web import solid

solid.install()

REGISTRY = CollectorRegistry()

ISSUED = Counter(
    "certwright_issued", "Certificates issued, by profile and kind of actor.", ("profile", "actor"), registry=REGISTRY
)
REVOKED = Counter(
    "certwright_revoked", "Certificates revoked, by reason and kind of actor.", ("reason", "actor"), registry=REGISTRY
)
REVOCATION_SECONDS = Histogram(
    "certwright_revocation_seconds",
    "Seconds from a revocation to its published OCSP answer and CRL.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    registry=REGISTRY,
)
REVOCATION_SEEN = Histogram(
    "certwright_revocation_seen_seconds",
    "Seconds from a revocation until it was fetched back from every node, by OCSP or CRL.",
    ("by",),
    buckets=(0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
    registry=REGISTRY,
)
REVOCATION_PENDING = Counter(
    "certwright_revocations_unpublished",
    "Revocations that were not published at once, because the HSM or the database was away.",
    registry=REGISTRY,
)
REFUSED = Counter("certwright_refused", "Requests refused, by error code.", ("code",), registry=REGISTRY)
ACME_SECONDS = Histogram(
    "certwright_acme_request_seconds", "Duration of ACME requests.", ("resource", "status"), registry=REGISTRY
)
STATUS = Counter(
    "certwright_status_requests",
    "Requests to the status plane, by door and result.",
    ("door", "result"),
    registry=REGISTRY,
)


class StatusCounts:
    """Counts of the status plane with their labels bound once: well under two microseconds a request."""

    def __init__(self) -> None:
        self._bound = cache(STATUS.labels)

    def add(self, door: str, result: str) -> None:
        """One more request."""
        self._bound(door, result).inc()
