"""An authority that counts what it does, for the metrics: the doors stand at this desk."""

from dataclasses import fields

from ca.authority import Authority, Revoked
from ca.authority import issue as issuance
from ca.records import Actor, Certificate, IssueRequest, Reason
from web.counters import ISSUED, REVOCATION_PENDING, REVOCATION_SECONDS, REVOKED


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

    def revoke(
        self, certificate: Certificate, reason: Reason, actor: Actor, comment: str = "", request_id: str = ""
    ) -> Revoked:
        """Revokes, counts, and records the time until OCSP and CRL carried it."""
        revoked = super().revoke(certificate, reason, actor, comment, request_id)
        REVOKED.labels(reason.value, actor.kind).inc()
        if revoked.published_in is None:
            REVOCATION_PENDING.inc()
        else:
            REVOCATION_SECONDS.observe(revoked.published_in)
        return revoked


def counted(authority: Authority) -> CountedAuthority:
    """The same collaborators behind a counting desk."""
    return CountedAuthority(**{field.name: getattr(authority, field.name) for field in fields(authority)})
