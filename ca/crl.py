"""Certificate revocation lists (RFC 5280 §5): built from revocation facts, and the gate before they go out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.clock import at, rfc3339
from ca.errors import IssuanceMismatch, LintFailed, StalePublication
from ca.issuer import Urls, authority_key_identifier
from ca.keys.algorithms import PrivateKey, signature_hash
from ca.profiles import certificate_period
from ca.records import Issuer, Reason, Revocation, serial_hex

CONTENT_TYPE = "application/pkix-crl"
Crl = x509.CertificateRevocationList


def build(  # noqa: PLR0913  # the fields of one flat structure
    issuer: Issuer,
    private_key: PrivateKey,
    revoked: Iterable[Revocation],
    number: int,
    this_update: int,
    next_update: int,
    url: str = "",
) -> bytes:
    """DER of a complete CRL over exactly these facts. Times are epoch seconds, both inclusive.

    `url` is the distribution point of the shard's certificates and makes the CRL one of that scope (L-04);
    without it the CRL is for all certificates of the issuer. Raises the HSM family, and `IssuanceMismatch`
    when the signature is not the issuer's.
    """
    certificate = x509.load_der_x509_certificate(issuer.certificate)
    builder = x509.CertificateRevocationListBuilder(
        certificate.subject,
        at(this_update).replace(tzinfo=None),
        at(next_update).replace(tzinfo=None),
        list(_extensions(certificate, number, url)),
        # Handed over at once: adding one by one is quadratic.
        [_entry(fact) for fact in sorted(revoked, key=lambda fact: fact.serial)],
    )
    crl = builder.sign(private_key, signature_hash(private_key.public_key()))  # type: ignore[arg-type]
    if not crl.is_signature_valid(certificate.public_key()):  # type: ignore[arg-type]
        raise IssuanceMismatch(f"The CRL of {issuer.id} was withheld: the signature is not the issuer's.")
    return crl.public_bytes(Encoding.DER)


def _extensions(issuer: x509.Certificate, number: int, url: str) -> Iterator[x509.Extension[x509.ExtensionType]]:
    yield _extension(authority_key_identifier(issuer))
    yield _extension(x509.CRLNumber(number))
    if url:
        yield _extension(_scope(url), critical=True)


def _extension(value: x509.ExtensionType, critical: bool = False) -> x509.Extension[x509.ExtensionType]:
    return x509.Extension(value.oid, critical, value)


def _scope(url: str) -> x509.IssuingDistributionPoint:
    """The shard, by the very URL that its certificates carry (RFC 5280 §5.2.5)."""
    return x509.IssuingDistributionPoint(
        full_name=[x509.UniformResourceIdentifier(url)],
        relative_name=None,
        only_contains_user_certs=False,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )


def _entry(fact: Revocation) -> x509.RevokedCertificate:
    extensions: list[x509.Extension[x509.ExtensionType]] = []
    if fact.reason is not Reason.UNSPECIFIED:  # L-06: "unspecified" is said by leaving it out
        extensions.append(_extension(x509.CRLReason(x509.ReasonFlags(fact.reason.value))))
    if fact.invalidity_date:
        extensions.append(_extension(x509.InvalidityDate(at(fact.invalidity_date).replace(tzinfo=None))))
    revoked_at = at(fact.revoked_at).replace(tzinfo=None)
    return x509.RevokedCertificateBuilder(fact.serial, revoked_at, extensions).build()


# --- where things are ---------------------------------------------------------------------------


def shard_url(status_url: str, issuer: str, shard: int) -> str:
    """The URL of a shard, as its certificates carry it."""
    return Urls(status_url).crl(issuer, shard)


def shard_path(issuer: str, shard: int) -> str:
    """The publication path of a shard."""
    return f"crl/{issuer}/{shard:04x}.crl"


def full_path(issuer: str) -> str:
    """The publication path of the CRL over all shards."""
    return f"crl/{issuer}/full.crl"


def issuer_of(path: str) -> str:
    """The issuer in a CRL's publication path."""
    return path.split("/")[1]


def not_after(issuer: Issuer) -> int:
    """The end of the issuer's life: no CRL of its promises anything beyond it."""
    return certificate_period(issuer.certificate).not_after


# --- the gate -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the gate compares of one CRL."""

    crl: Crl
    number: int
    this_update: int
    serials: frozenset[int]


def gate(previous: bytes, following: bytes, expires: Callable[[int], int]) -> None:
    """Returns when `following` may take the place of the published `previous` (both DER, of one path).

    Number and thisUpdate only rise (INC-02, L-02; `StalePublication`). An entry leaves only when its
    certificate had expired before the previous CRL was made, so that at least one CRL after the expiry
    carried it (INC-01, L-07; `LintFailed`); `expires(serial)` answers notAfter in epoch seconds.
    """
    old, new = _seen(previous), _seen(following)
    if new.crl.issuer != old.crl.issuer or _scope_of(new.crl) != _scope_of(old.crl):
        raise LintFailed("The CRL was not published: it is of another issuer or scope than the one before.")
    if new.number <= old.number or new.this_update < old.this_update:
        raise StalePublication(
            f"CRL {new.number} of {rfc3339(new.this_update)} cannot follow "
            f"CRL {old.number} of {rfc3339(old.this_update)}."
        )
    lost = sorted(serial for serial in old.serials - new.serials if expires(serial) >= old.this_update)
    if lost:
        shown = ", ".join(map(serial_hex, lost[:5]))
        raise LintFailed(
            f"INC-01: the CRL was not published: {len(lost)} revoked certificates would leave it early ({shown}).",
            next_step="Compare the revocations in the database with the published CRL; see docs/hierarchy.md.",
        )


def _seen(der: bytes) -> _Seen:
    crl = x509.load_der_x509_crl(der)
    number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    this_update = int(crl.last_update_utc.timestamp())
    return _Seen(crl, number, this_update, frozenset(entry.serial_number for entry in crl))


def _scope_of(crl: Crl) -> list[x509.ExtensionType]:
    return [one.value for one in crl.extensions if isinstance(one.value, x509.IssuingDistributionPoint)]


# --- the root's CRLs ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Window:
    """The time of one CRL: `number`, and thisUpdate and nextUpdate in epoch seconds."""

    number: int
    this_update: int
    next_update: int


def windows(first: Window, spares: int, overlap: int) -> Sequence[Window]:
    """The first window and `spares` more of its length, each starting `overlap` seconds before the last one ends."""
    life = first.next_update - first.this_update
    step = life - overlap
    return [
        Window(first.number + n, first.this_update + n * step, first.this_update + n * step + life)
        for n in range(spares + 1)
    ]


def root_crls(
    issuer: Issuer, private_key: PrivateKey, revoked: Sequence[Revocation], times: Sequence[Window]
) -> list[bytes]:
    """One CRL for each window: the root goes offline again, and its spares are published when they are due (B-03).

    A root's CRL is not partitioned: it covers the root itself too, which has no distribution point.
    """
    return [
        build(issuer, private_key, revoked, window.number, window.this_update, window.next_update) for window in times
    ]
