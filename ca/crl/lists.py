"""A whole CRL: the library builds it empty, the entries are put into the bytes that it wants signed.

So what stands around the entries is the library's, and an entry costs a copy: byte for byte what the library would
have built over the same facts, as a test shows.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cryptography import x509

from ca.clock import at
from ca.crl.entries import entry
from ca.errors import IssuanceMismatch
from ca.issuer import authority_key_identifier
from ca.keys import der
from ca.keys.algorithms import PrivateKey, algorithm_of, signature_hash
from ca.keys.handles import KeyHandle
from ca.keys.ledger import scope_by
from ca.records import Issuer, Revocation

_EXTENSIONS = 0xA0


@dataclass(frozen=True, slots=True)
class Form:
    """What a list says besides its entries. Times are epoch seconds, both inclusive.

    `url` is the distribution point of a shard's certificates and makes the CRL one of that scope (L-04); without it
    the CRL is for all certificates of the issuer. `base` is the number of the complete CRL that a delta adds to
    (L-08); `freshest` is where a complete CRL's delta lies.
    """

    number: int
    this_update: int
    next_update: int
    url: str = ""
    base: int = 0
    freshest: str = ""


def build(  # noqa: PLR0913  # the fields of one flat structure
    issuer: Issuer,
    private_key: PrivateKey,
    revoked: Iterable[Revocation],
    number: int,
    this_update: int,
    next_update: int,
    url: str = "",
) -> bytes:
    """DER of a complete CRL over exactly these facts: `assemble`, for those who keep no entries."""
    entries = map(entry, sorted(revoked, key=lambda fact: fact.serial))
    return assemble(issuer, private_key, entries, Form(number, this_update, next_update, url))


def assemble(issuer: Issuer, private_key: PrivateKey, entries: Iterable[bytes], form: Form) -> bytes:
    """DER of the signed CRL over these entries, in their order.

    Raises the HSM family, and `IssuanceMismatch` when the signature is not the issuer's or the bytes are no CRL.
    """
    certificate = x509.load_der_x509_certificate(issuer.certificate)
    builder = x509.CertificateRevocationListBuilder(
        certificate.subject,
        at(form.this_update).replace(tzinfo=None),
        at(form.next_update).replace(tzinfo=None),
        list(_extensions(certificate, form)),
    )
    splicer = _Splicer(private_key, b"".join(entries))
    builder.sign(splicer, signature_hash(private_key.public_key()))  # type: ignore[arg-type]
    made = splicer.signed()
    if not _is_whole(made, splicer, certificate):
        raise IssuanceMismatch(f"The CRL of {issuer.id} was withheld: the signature is not the issuer's.")
    return made


class _Splicer(KeyHandle):
    """Signs what a builder hands over with the entries put into it, once."""

    def __new__(cls, private_key: PrivateKey, _entries: bytes) -> "_Splicer":
        return super().__new__(cls, private_key.public_key())

    def __init__(self, private_key: PrivateKey, entries: bytes) -> None:
        super().__init__(private_key.public_key(), bytes)
        self._private_key = private_key
        self._entries = entries
        self.tbs = self.signature = b""

    def sign(self, data: bytes, *how: object, **named: object) -> bytes:
        """The signature over the spliced bytes, as the library wants it made."""
        self.tbs = _spliced(bytes(data), self._entries)
        self.signature = self._private_key.sign(self.tbs, *how, *named.values())  # type: ignore[arg-type]
        return self.signature

    def signed(self) -> bytes:
        """The whole CRL, when the builder has had it signed."""
        return der.tlv(der.SEQUENCE, self.tbs + self.algorithm.identifier + der.bit_string(self.signature))


def _spliced(tbs: bytes, entries: bytes) -> bytes:
    """revokedCertificates stands before the extensions; without entries there is none (L-05)."""
    if not entries:
        return tbs
    *head, extensions = der.children(tbs)
    return der.tlv(der.SEQUENCE, b"".join((*head, der.tlv(der.SEQUENCE, entries), extensions)))


def _is_whole(made: bytes, splicer: _Splicer, issuer: x509.Certificate) -> bool:
    """Whether the library reads it, and the signature over its very TBS is the issuer's.

    (The library would write the whole TBS anew to show it: as long as all the rest takes.)
    """
    try:
        read = x509.load_der_x509_crl(made)
    except ValueError:
        return False
    key = issuer.public_key()
    return algorithm_of(key).verifies(key, read.signature, splicer.tbs)  # type: ignore[arg-type]


# --- what stands around the entries -------------------------------------------------------------


def _extensions(issuer: x509.Certificate, form: Form) -> Iterator[x509.Extension[x509.ExtensionType]]:
    yield _extension(authority_key_identifier(issuer))
    yield _extension(x509.CRLNumber(form.number))
    if form.url:
        yield _extension(_scope(form.url), critical=True)
    if form.base:
        yield _extension(x509.DeltaCRLIndicator(form.base), critical=True)
    if form.freshest:
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(form.freshest)], None, None, None)
        yield _extension(x509.FreshestCRL([point]))


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


def tbs_of(made: bytes) -> bytes:
    """The TBS of a CRL, without parsing it: what the signer's ledger knows it by. Raises `BadRequest`."""
    return next(iter(der.children(made)))


def ledger_scope(url: str) -> str:
    """The name under which the signer's ledger numbers the complete CRLs of a distribution point."""
    return scope_by(_scope(url)) if url else ""


def revoked_of(made: bytes) -> bytes:
    """The content of revokedCertificates of a CRL, empty when there is none. Raises `BadRequest` for no CRL."""
    before, last = list(der.children(tbs_of(made)))[-2:]
    # Before the extensions come the entries or nextUpdate, which is no SEQUENCE.
    return der.content(before) if last[0] == _EXTENSIONS and before[0] == der.SEQUENCE else b""
