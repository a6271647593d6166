"""Fast lints over the very bytes that will be signed (B-04): `lint(tbs, profile, issuer_certificate)`.

The table `CHECKS` is the whole of it: one row a rule, with its id in STANDARDS.md. It reads the TBS itself,
not the builder that made it, so a fault in the builder or in the profile is found like any other.
"""

from ca.errors import LintFailed
from ca.lint.checks import CHECKS
from ca.lint.draft import read
from ca.profiles import Profile


def lint(tbs: bytes, profile: Profile, issuer_certificate: bytes) -> None:
    """Returns when the DER TBSCertificate keeps every rule. Raises `LintFailed` naming all that it breaks."""
    draft = read(tbs, profile, issuer_certificate)
    broken = [f"{check.id}: not so: {check.promise}" for check in CHECKS if not check.holds(draft)]
    if broken:
        raise LintFailed(
            f"The certificate was not signed. {'; '.join(broken)}.",
            next_step="This is a fault of Certwright or of its configuration: please report it.",
        )


__all__ = ["CHECKS", "lint"]
