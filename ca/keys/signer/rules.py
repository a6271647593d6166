"""What each key may sign: pure functions over a whole, strictly parsed TBS and the facts pinned about the key.

The signer is no oracle. `permit` returns when the rules of the kind hold for these bytes and raises
`SigningRefused` otherwise; nothing is fetched, nothing is remembered. A kind without a rule is refused.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NoReturn, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ca.clock import at
from ca.errors import BadRequest, SigningRefused
from ca.keys import der
from ca.keys.algorithms import ALGORITHMS, load_spki, spki_of
from ca.keys.checkpoint import parse_checkpoint
from ca.keys.ledger import scope_of
from ca.keys.ring import KeyState, Operation, permitted
from ca.lint.constraints import permits
from ca.records import KeyPurpose, SignKind, serial_hex

KINDS: Mapping[KeyPurpose, frozenset[SignKind]] = {
    # The root's key lives in a token of its own that only a ceremony opens.
    KeyPurpose.ROOT: frozenset(),
    KeyPurpose.ISSUING: frozenset({SignKind.CERTIFICATE, SignKind.CRL, SignKind.CSR}),
    KeyPurpose.RESPONDER: frozenset({SignKind.OCSP}),
    KeyPurpose.JOURNAL: frozenset({SignKind.CHECKPOINT}),
}
"""The kinds that a key may sign, by its purpose and for life."""

_OPERATIONS: Mapping[SignKind, Operation] = {
    SignKind.CERTIFICATE: Operation.SIGN,
    SignKind.CRL: Operation.REVOKE,
    SignKind.OCSP: Operation.SIGN,
    SignKind.CHECKPOINT: Operation.SIGN,
    SignKind.CSR: Operation.PROVE,
}

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)
# What the library raises at bytes that it cannot or will not read.
_UNREADABLE = (
    BadRequest,
    NotImplementedError,
    TypeError,
    UnsupportedAlgorithm,
    ValueError,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
AHEAD = timedelta(minutes=5)
BACKDATED = timedelta(hours=1) + AHEAD
"""How far a certificate's beginning may lie from the signer's clock: backdating (X-16), and clocks that differ."""

LONGEST_STATUS = timedelta(days=10)
"""The longest time that a CRL or an OCSP answer may speak for."""

_NAMES = (x509.DNSName, x509.IPAddress, x509.UniformResourceIdentifier)
_LARGEST_NUMBER = 1 << 62
_OCSP_BASIC = bytes.fromhex("06092b0601050507300101")


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What the signer pinned about a key; `certificate` is the DER that certifies it, empty before the ceremony.

    `longest_life` is that of a leaf, in seconds. Which names are permitted stands in the certificate itself.
    """

    id: str
    purpose: KeyPurpose
    algorithm: str
    spki: bytes
    state: KeyState
    certificate: bytes = b""
    longest_life: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """What a signature takes for good, as read from the TBS: a serial in hex, or a number and time in a scope.

    `mark` is the serial, the scope of a CRL, or the origin of a checkpoint; empty for what takes nothing. Of an OCSP
    answer about one serial `number` is that serial, and `mark` says `revoked` if it is.
    """

    mark: str = ""
    number: int = 0
    this_update: int = 0


def permit(kind: SignKind, tbs: bytes, key: KeyFacts, now: int) -> Seen:
    """What was seen, when `key` may sign `tbs` as `kind` at the time `now`. Raises `SigningRefused`."""
    if kind not in KINDS[key.purpose]:
        _refuse(key, f"a key for {key.purpose} does not sign the kind {kind}")
    if not permitted(key.state, _OPERATIONS[kind]):
        _refuse(key, f"the key is {key.state}")
    try:
        return _RULES[kind](tbs, key, at(now))
    except _UNREADABLE as error:
        _refuse(key, f"the bytes are no proper {kind}: {error}")


def _refuse(key: KeyFacts, why: str) -> NoReturn:
    raise SigningRefused(
        f"The signer does not sign this with {key.id}: {why}.",
        next_step="Nothing was signed. Look at the signer's rules in docs/keys.md.",
    )


def _demand(holds: bool, key: KeyFacts, why: str) -> None:
    if not holds:
        _refuse(key, why)


# --- certificates: leaves only ------------------------------------------------------------------


def _certificate(tbs: bytes, key: KeyFacts, now: datetime) -> Seen:
    leaf = x509.load_der_x509_certificate(_signed(tbs, key))
    own = own_certificate(key)
    _demand(leaf.tbs_certificate_bytes == tbs, key, "there is more than one structure")
    _demand(leaf.version is x509.Version.v3, key, "it is not version 3")
    _demand(_inner_algorithm(tbs, 2) == ALGORITHMS[key.algorithm].identifier, key, "the algorithm is not the key's")
    _demand(leaf.serial_number > 0, key, "the serial number is not positive")
    _demand(leaf.issuer == own.subject, key, "the issuer's name is not its own")
    _demand(spki_of(leaf.public_key()) != key.spki, key, "it certifies the issuer's own key")  # type: ignore[arg-type]
    _leaf_period(leaf, own, key, now)
    _leaf_names(leaf, own, key)
    _leaf_extensions(leaf.extensions, own, key)
    return Seen(serial_hex(leaf.serial_number))


def _leaf_period(leaf: x509.Certificate, own: x509.Certificate, key: KeyFacts, now: datetime) -> None:
    begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    _demand(begin >= own.not_valid_before_utc, key, "it begins before its issuer")
    _demand(end <= own.not_valid_after_utc, key, "it outlives its issuer")
    _demand(now - BACKDATED <= begin <= now + AHEAD, key, "it does not begin about now")
    _demand(end - begin < timedelta(seconds=key.longest_life), key, f"it lasts longer than {key.longest_life} s")


def _leaf_names(leaf: x509.Certificate, own: x509.Certificate, key: KeyFacts) -> None:
    """At least one name, each of a kind that is issued and inside the issuer's own constraints; a CN is one of them."""
    names = list(leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    _demand(bool(names) and all(isinstance(one, _NAMES) for one in names), key, "it has names of another kind, or none")
    constraints = _optional(own.extensions, x509.NameConstraints)
    for one in names:
        inside = constraints is None or permits(constraints, one)
        _demand(inside, key, f"{one.value} lies outside the issuer's name constraints")
    said = {str(one.value) for one in names}
    only_names = all(part.oid == NameOID.COMMON_NAME and part.value in said for part in leaf.subject)
    _demand(only_names, key, "its subject says more than its names")


def _leaf_extensions(found: x509.Extensions, own: x509.Certificate, key: KeyFacts) -> None:
    constraints = _optional(found, x509.BasicConstraints)
    _demand(constraints is None or not constraints.ca, key, "it would be a CA")
    usage = _optional(found, x509.KeyUsage)
    _demand(usage is None or not (usage.key_cert_sign or usage.crl_sign), key, "it may sign certificates or CRLs")
    purposes = set(found.get_extension_for_class(x509.ExtendedKeyUsage).value)
    forbidden = {ExtendedKeyUsageOID.OCSP_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    _demand(not purposes & forbidden, key, "it may sign OCSP answers, or may be used for anything")
    _own_authority_key(found, own, key)


def _own_authority_key(found: x509.Extensions, own: x509.Certificate, key: KeyFacts) -> None:
    authority = found.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    _demand(authority == own_key_identifier(own), key, "the authority key identifier is not its own")


# --- the other kinds ----------------------------------------------------------------------------


def _crl(tbs: bytes, key: KeyFacts, _now: datetime) -> Seen:
    crl = x509.load_der_x509_crl(_signed(tbs, key))
    own = own_certificate(key)
    # (To compare it with what was parsed, the library would have to write every entry anew.)
    _demand(der.end_of(tbs, 0) == len(tbs), key, "there is more than one structure")
    _demand(_inner_algorithm(tbs, 1) == ALGORITHMS[key.algorithm].identifier, key, "the algorithm is not the key's")
    _demand(crl.issuer == own.subject, key, "the issuer's name is not its own")
    _window(crl.last_update_utc, crl.next_update_utc, key)
    number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    _demand(number < _LARGEST_NUMBER, key, "its number is out of all proportion")
    _own_authority_key(crl.extensions, own, key)
    return Seen(scope_of(crl), number, int(crl.last_update_utc.timestamp()))


def _csr(tbs: bytes, key: KeyFacts, _now: datetime) -> Seen:
    request = x509.load_der_x509_csr(_signed(tbs, key))
    _demand(request.tbs_certrequest_bytes == tbs, key, "there is more than one structure")
    _demand(spki_of(request.public_key()) == key.spki, key, "it asks for another key")  # type: ignore[arg-type]
    return Seen()


def _ocsp(tbs: bytes, key: KeyFacts, now: datetime) -> Seen:
    basic = der.tlv(der.OCTET_STRING, _signed(tbs, key))
    body = der.tlv(0xA0, der.tlv(der.SEQUENCE, _OCSP_BASIC + basic))
    answer = ocsp.load_der_ocsp_response(der.tlv(der.SEQUENCE, der.tlv(der.ENUMERATED, b"\x00") + body))
    own = own_certificate(key)
    _demand(answer.tbs_response_bytes == tbs, key, "there is more than one structure")
    by_key, by_name = answer.responder_key_hash, answer.responder_name
    _demand(by_key == _key_hash(key.spki) or by_name == own.subject, key, "the responder is another")
    singles = list(answer.responses)
    _demand(bool(singles), key, "it answers nothing")
    for one in singles:
        begin, end = one.this_update_utc, one.next_update_utc
        _window(begin, end, key)
        _demand(begin <= now + AHEAD, key, "it lies ahead of the clock")
        _demand(end is not None and end <= own.not_valid_after_utc, key, "it outlives its responder")
    revoked = singles[0].certificate_status is ocsp.OCSPCertStatus.REVOKED
    return Seen("revoked" if revoked else "", singles[0].serial_number if len(singles) == 1 else 0)


def _checkpoint(tbs: bytes, key: KeyFacts, _now: datetime) -> Seen:
    read = parse_checkpoint(tbs)
    _demand(read.size < _LARGEST_NUMBER, key, "its size is out of all proportion")
    return Seen(read.origin, read.size)


_RULES: Mapping[SignKind, Callable[[bytes, KeyFacts, datetime], Seen]] = {
    SignKind.CERTIFICATE: _certificate,
    SignKind.CRL: _crl,
    SignKind.CSR: _csr,
    SignKind.OCSP: _ocsp,
    SignKind.CHECKPOINT: _checkpoint,
}


def _window(begin: datetime, end: datetime | None, key: KeyFacts) -> None:
    _demand(end is not None and end > begin, key, "nextUpdate is not after thisUpdate")
    _demand(end is not None and end - begin <= LONGEST_STATUS, key, f"it lasts longer than {LONGEST_STATUS.days} days")


# --- parts --------------------------------------------------------------------------------------


def _signed(tbs: bytes, key: KeyFacts) -> bytes:
    """The bare TBS with the key's algorithm and an empty signature: a structure that the library parses."""
    return der.tlv(der.SEQUENCE, tbs + ALGORITHMS[key.algorithm].identifier + der.EMPTY_BIT_STRING)


def _inner_algorithm(tbs: bytes, place: int) -> bytes:
    return list(der.children(tbs))[place]


def _optional(found: x509.Extensions, kind: type[_Extension]) -> _Extension | None:
    try:
        return found.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def own_certificate(key: KeyFacts) -> x509.Certificate:
    """The certificate that the ceremony handed to the signer. Raises `SigningRefused` when there is none yet."""
    if not key.certificate:
        _refuse(key, "no certificate of its own was handed to the signer")
    return load_certificate(key.certificate)


@lru_cache(maxsize=64)
def load_certificate(certificate: bytes) -> x509.Certificate:
    """A parsed certificate; the signer's own few are parsed once."""
    return x509.load_der_x509_certificate(certificate)


@lru_cache(maxsize=64)
def own_key_identifier(certificate: x509.Certificate) -> bytes:
    """The SKI of a CA's own certificate, which is the AKI of all it signs."""
    return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.key_identifier


@lru_cache(maxsize=64)
def _key_hash(spki: bytes) -> bytes:
    """SHA-1 of the public key's bits: the responder's ID by key (RFC 6960 §4.2.1)."""
    return x509.SubjectKeyIdentifier.from_public_key(load_spki(spki)).digest
