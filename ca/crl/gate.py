"""The publication gate: what follows a published CRL is newer, and forgets nothing (INC-01, INC-02)."""

from collections.abc import Callable

from cryptography import x509

from ca.clock import rfc3339
from ca.crl.entries import serial_of, split
from ca.crl.lists import revoked_of
from ca.errors import LintFailed, StalePublication
from ca.records import serial_hex

Crl = x509.CertificateRevocationList

MayLeave = Callable[[int, int], bool]
"""Whether a serial may leave a CRL whose thisUpdate is the second argument."""


def gate(previous: bytes, following: bytes, may_leave: MayLeave) -> None:
    """Returns when `following` may take the place of the published `previous` (both DER, of one path).

    Besides what `must_rise` demands: an entry leaves only if it may. That is for the records to say: its certificate
    had expired before the previous CRL was made, so that at least one CRL after the expiry carried it (L-07), or its
    hold was released. Otherwise raises `LintFailed` (INC-01).
    """
    must_rise(previous, following)
    this_update = int(x509.load_der_x509_crl(previous).last_update_utc.timestamp())
    lost = sorted(serial for serial in missing(previous, following) if not may_leave(serial, this_update))
    if lost:
        shown = ", ".join(map(serial_hex, lost[:5]))
        raise LintFailed(
            f"INC-01: the CRL was not published: {len(lost)} revoked certificates would leave it early ({shown}).",
            next_step="Run 'certwright crl adopt' to take over what is published; see docs/hierarchy.md.",
        )


def missing(previous: bytes, following: bytes) -> set[int]:
    """The serials of the one list that are not in the other. What is the same to the octet is not parsed."""
    old, new = set(split(revoked_of(previous))), set(split(revoked_of(following)))
    gone = {serial_of(one) for one in old - new}
    return gone and gone - {serial_of(one) for one in new - old}


def must_rise(previous: bytes, following: bytes) -> None:
    """Raises `LintFailed` for another issuer or scope, `StalePublication` for a number or time that is not above."""
    old, new = x509.load_der_x509_crl(previous), x509.load_der_x509_crl(following)
    if new.issuer != old.issuer or _scope_of(new) != _scope_of(old):
        raise LintFailed("The CRL was not published: it is of another issuer or scope than the one before.")
    if _number(new) <= _number(old) or new.last_update_utc < old.last_update_utc:
        raise StalePublication(f"{_shown(new)} cannot follow {_shown(old)}.")


def _number(crl: Crl) -> int:
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def _shown(crl: Crl) -> str:
    return f"CRL {_number(crl)} of {rfc3339(int(crl.last_update_utc.timestamp()))}"


def _scope_of(crl: Crl) -> list[object]:
    """The issuing distribution point, and whether it is a delta."""
    kinds = (x509.IssuingDistributionPoint, x509.DeltaCRLIndicator)
    found = [one.value for one in crl.extensions if isinstance(one.value, kinds)]
    return [one if isinstance(one, x509.IssuingDistributionPoint) else type(one) for one in found]
