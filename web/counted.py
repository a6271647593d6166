"""An authority that counts what it does, for the metrics: the doors stand at this desk."""

from dataclasses import fields

from ca.authority import Authority, Revoked
from ca.authority import issue as issuance
from ca.records import Certificate, IssueRequest, RevokeRequest, Stopwatch
from web.counters import ISSUED, REVOCATION_PENDING, REVOCATION_SECONDS, REVOCATION_SEEN, REVOKED


class CountedAuthority(Authority):
    """The same desk with the same promises; deeds that succeeded are counted."""

    def issue(
        self,
        request: IssueRequest,
        within: issuance.Within = issuance.nothing,
        after: issuance.After = issuance.nothing,
    ) -> Certificate:
        """Issues and counts."""
        certificate = super().issue(request, within, after)
        ISSUED.labels(request.profile, request.actor.kind).inc()
        return certificate

    def revoke_serial(self, issuer_id: str, serial: int, request: RevokeRequest, end: int = 0) -> Revoked:
        """Revokes, counts, and records the time until OCSP and CRL carried it."""
        revoked = super().revoke_serial(issuer_id, serial, request, end)
        REVOKED.labels(request.reason.value, request.actor.kind).inc()
        if revoked.published_in is None:
            REVOCATION_PENDING.inc()
        else:
            REVOCATION_SECONDS.observe(revoked.published_in)
        return revoked

    def watch(self, revoked: Revoked, seconds: float = 2.0) -> Stopwatch:
        """Watches, and counts what was seen."""
        seen = super().watch(revoked, seconds)
        for by, milliseconds in (("ocsp", seen.ocsp_ms), ("crl", seen.crl_ms)):
            if milliseconds >= 0:
                REVOCATION_SEEN.labels(by).observe(milliseconds / 1000)
        return seen


def counted(authority: Authority) -> CountedAuthority:
    """The same collaborators behind a counting desk."""
    return CountedAuthority(**{field.name: getattr(authority, field.name) for field in fields(authority)})
