"""The certificate of a delegated OCSP responder (RFC 6960 §4.2.2.2), from a fixed template.

This is the one certificate that is not a leaf's and that an issuing key signs: no client has a say in it but
for the moment it is made.
"""

from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ca.clock import at
from ca.errors import Conflict
from ca.keys.algorithms import PrivateKey, PublicKey, signature_hash
from ca.records import make_serial

DAY = 86400
BACKDATE = 3600
"""notBefore lies this far before the clock, for relying parties whose clock is slow (X-16)."""

_RESPONDER_SHARD = 0
_COMMON_NAME_SUFFIX = " OCSP"
_UB_COMMON_NAME = 64


@dataclass(frozen=True, slots=True)
class Life:
    """notBefore and notAfter, in epoch seconds."""

    not_before: int
    not_after: int


def plan_life(issuer: x509.Certificate, now: int, days: int) -> Life:
    """`days` from the backdated beginning, inside the issuer's life (X-05, X-16). Raises `Conflict` after its end."""
    begin = max(now - BACKDATE, int(issuer.not_valid_before_utc.timestamp()))
    end = min(begin + days * DAY - 1, int(issuer.not_valid_after_utc.timestamp()))
    if end <= now:
        raise Conflict("The issuer's certificate has expired.", next_step="Make the next generation at a ceremony.")
    return Life(begin, end)


def serial(entropy: bytes) -> int:
    """A responder's serial number. `entropy` is 16 octets from the CSPRNG."""
    return make_serial(_RESPONDER_SHARD, entropy)


def build(
    issuer: x509.Certificate, issuer_key: PrivateKey, public_key: PublicKey, life: Life, number: int
) -> x509.Certificate:
    """The responder's certificate with this serial number, signed by the issuing key."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(_subject(issuer))
        .issuer_name(issuer.subject)
        .public_key(public_key)
        .serial_number(number)
        .not_valid_before(at(life.not_before))
        .not_valid_after(at(life.not_after))
    )
    for extension, critical in _extensions(issuer, public_key):
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, signature_hash(issuer_key.public_key()))  # type: ignore[arg-type]


def _extensions(issuer: x509.Certificate, public_key: PublicKey) -> tuple[tuple[x509.ExtensionType, bool], ...]:
    own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_digital_signature_only(), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False),
        # Nobody asks for the status of the one who answers; its life is short instead.
        (x509.OCSPNoCheck(), False),
        (x509.SubjectKeyIdentifier.from_public_key(public_key), False),
        (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), False),
    )


def _digital_signature_only() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _subject(issuer: x509.Certificate) -> x509.Name:
    """`<issuer CN> OCSP`, within the 64 characters of a common name."""
    names = issuer.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    said = str(names[0].value) if names else "Issuer"
    kept = said[: _UB_COMMON_NAME - len(_COMMON_NAME_SUFFIX)]
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, kept + _COMMON_NAME_SUFFIX)])
