"""The front desk of the authority: one module a use case, readable like a certification practice statement.

authority = open_authority(config)
certificate = authority.issue(request)
authority.revoke(certificate.issuer, certificate.serial, Reason.SUPERSEDED, actor)
"""

from ca.authority.authority import Authority, open_authority
from ca.authority.report import Check, Report, Revoked

__all__ = ["Authority", "Check", "Report", "Revoked", "open_authority"]
