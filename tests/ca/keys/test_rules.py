"""The signer is no oracle: what each purpose may sign, and each way in which a TBS is refused."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from itertools import product

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from ca.clock import at
from ca.errors import SigningRefused
from ca.keys import der
from ca.keys.algorithms import algorithm_of, signature_hash, spki_of
from ca.keys.ring import KeyState
from ca.keys.sealed import recording
from ca.keys.signer.rules import KINDS, KeyFacts, permit
from ca.records import KeyPurpose, SignKind

pytestmark = pytest.mark.filterwarnings("ignore:.*serial number")

CLOCK = 1_800_000_000
NOW = at(CLOCK)
DAY = timedelta(days=1)
OWN = ec.generate_private_key(ec.SECP256R1())
LEAF = ec.generate_private_key(ec.SECP256R1()).public_key()
FOREIGN = ec.generate_private_key(ec.SECP256R1())


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


SKI = x509.SubjectKeyIdentifier.from_public_key(OWN.public_key())
CONSTRAINTS = x509.NameConstraints(
    [x509.DNSName("internal")], [x509.IPAddress(ip_network("0.0.0.0/0")), x509.IPAddress(ip_network("::/0"))]
)
OWN_CERTIFICATE = (
    x509.CertificateBuilder(name("Root"), name("Issuing"), OWN.public_key(), 3, NOW - 30 * DAY, NOW + 60 * DAY)
    .add_extension(x509.BasicConstraints(True, 0), critical=True)
    .add_extension(SKI, critical=False)
    .add_extension(CONSTRAINTS, critical=True)
    .sign(FOREIGN, signature_hash(FOREIGN.public_key()))
)
ISSUING = KeyFacts(
    "issuing-g1",
    KeyPurpose.ISSUING,
    "ec-p256",
    spki_of(OWN.public_key()),
    KeyState.ACTIVE,
    OWN_CERTIFICATE.public_bytes(Encoding.DER),
    100 * 86400,
)
RESPONDER = replace(ISSUING, id="issuing-g1-ocsp-1", purpose=KeyPurpose.RESPONDER)
JOURNAL = replace(ISSUING, id="journal-g1", purpose=KeyPurpose.JOURNAL, certificate=b"")
ROOT = replace(ISSUING, id="root-g1", purpose=KeyPurpose.ROOT)


def recorded(builder: object, key: object = OWN) -> bytes:
    recorder = recording(key.public_key())  # type: ignore[attr-defined]
    builder.sign(recorder, signature_hash(recorder.public_key()))  # type: ignore[attr-defined]
    return recorder.tbs


# --- certificates -------------------------------------------------------------------------------

AUTHORITY = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(SKI)
SERVER = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])


def usage(**also: bool) -> x509.KeyUsage:
    flags = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{flag: also.get(flag, flag == "digital_signature") for flag in flags})


def certificate(
    *extensions: x509.ExtensionType,
    issuer: str = "Issuing",
    start: object = NOW,
    end: object = NOW + DAY,
    key: object = LEAF,
    names: tuple[x509.GeneralName, ...] = (x509.DNSName("a.internal"),),
    subject: x509.Name | None = None,
) -> bytes:
    builder = x509.CertificateBuilder(name(issuer), subject or x509.Name([]), key, 77, start, end)  # type: ignore[arg-type]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for extension in extensions or (AUTHORITY, SERVER, usage(), x509.BasicConstraints(False, None)):
        builder = builder.add_extension(extension, critical=False)
    return recorded(builder)


def other_algorithm() -> bytes:
    """The right bytes, but the TBS names RSA where the key is a curve's."""
    rsa_key = rsa.generate_private_key(65537, 2048)
    builder = x509.CertificateBuilder(name("Issuing"), x509.Name([]), LEAF, 77, NOW, NOW + DAY)
    for extension in (x509.SubjectAlternativeName([x509.DNSName("a.internal")]), AUTHORITY, SERVER):
        builder = builder.add_extension(extension, critical=False)
    return recorded(builder, rsa_key)


OUTSIDE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "tomorrow's": ("begin about now", lambda: certificate(start=NOW + DAY, end=NOW + 2 * DAY)),
    "ten minutes ahead": ("begin about now", lambda: certificate(start=NOW + DAY / 144)),
    "two hours old": ("begin about now", lambda: certificate(start=NOW - DAY / 12)),
    "no name": ("SubjectAlternativeName", lambda: certificate(names=())),
    "a name outside": ("outside the issuer's name", lambda: certificate(names=(x509.DNSName("bank.example"),))),
    "a suffix that is no label": ("outside the issuer's name", lambda: certificate(names=(x509.DNSName("xinternal"),))),
    "one of two outside": (
        "outside the issuer's name",
        lambda: certificate(names=(x509.DNSName("a.internal"), x509.DNSName("bank.example"))),
    ),
    "an address": ("outside the issuer's name", lambda: certificate(names=(x509.IPAddress(ip_address("10.0.0.1")),))),
    "an e-mail address": ("names of another kind", lambda: certificate(names=(x509.RFC822Name("a@internal"),))),
    "a directory name": ("names of another kind", lambda: certificate(names=(x509.DirectoryName(name("x")),))),
    "a common name outside": ("subject says more", lambda: certificate(subject=name("bank.example"))),
    "an organization": (
        "subject says more",
        lambda: certificate(subject=x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Bank")])),
    ),
}


def altered(tbs: bytes, place: int, element: bytes) -> bytes:
    """The TBS with another element at a place: what no builder would make."""
    parts = list(der.children(tbs))
    parts[place] = element
    return der.tlv(der.SEQUENCE, b"".join(parts))


GOOD_LEAVES: dict[str, Callable[[], bytes]] = {
    "with usual extensions": certificate,
    "without basicConstraints and keyUsage": lambda: certificate(AUTHORITY, SERVER),
    "to its issuer's last second": lambda: certificate(end=NOW + 60 * DAY),
    "backdated by an hour": lambda: certificate(start=NOW - DAY / 24),
    "a little ahead": lambda: certificate(start=NOW + DAY / 288),
    "with a common name": lambda: certificate(subject=name("a.internal")),
    "a wildcard": lambda: certificate(names=(x509.DNSName("*.internal"),)),
}
BAD_LEAVES: dict[str, Callable[[], bytes]] = {
    "a CA": lambda: certificate(AUTHORITY, SERVER, x509.BasicConstraints(True, None)),
    "keyCertSign": lambda: certificate(AUTHORITY, SERVER, usage(key_cert_sign=True)),
    "cRLSign": lambda: certificate(AUTHORITY, SERVER, usage(crl_sign=True)),
    "OCSPSigning": lambda: certificate(
        AUTHORITY, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.OCSP_SIGNING])
    ),
    "any usage": lambda: certificate(AUTHORITY, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])),
    "no extended key usage": lambda: certificate(AUTHORITY, usage()),
    "no authority key": lambda: certificate(SERVER, usage()),
    "a foreign authority key": lambda: certificate(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(FOREIGN.public_key()), SERVER
    ),
    "a foreign issuer": lambda: certificate(issuer="Root"),
    "its issuer's own key": lambda: certificate(key=OWN.public_key()),
    "a longer life than its issuer": lambda: certificate(end=NOW + 61 * DAY),
    "a beginning before its issuer": lambda: certificate(start=NOW - 31 * DAY),
    "another algorithm": other_algorithm,
    "version 1": lambda: altered(certificate(), 0, b""),
    "version 2": lambda: altered(certificate(), 0, bytes.fromhex("a003020101")),
    "serial number zero": lambda: altered(certificate(), 1, bytes.fromhex("020100")),
    "a negative serial number": lambda: altered(certificate(), 1, bytes.fromhex("0201ff")),
    "trailing octets": lambda: certificate() + b"\x05\x00",
    "a signed certificate": lambda: OWN_CERTIFICATE.public_bytes(Encoding.DER),
    "a truncated structure": lambda: certificate()[:-1],
    "nothing": lambda: b"",
    "a digest": lambda: b"\x00" * 32,
}


@pytest.mark.parametrize("case", GOOD_LEAVES)
def test_an_issuing_key_signs_leaves(case: str) -> None:
    permit(SignKind.CERTIFICATE, GOOD_LEAVES[case](), ISSUING, CLOCK)


@pytest.mark.parametrize("case", BAD_LEAVES)
def test_an_issuing_key_signs_leaves_only(case: str) -> None:
    with pytest.raises(SigningRefused):
        permit(SignKind.CERTIFICATE, BAD_LEAVES[case](), ISSUING, CLOCK)


@pytest.mark.parametrize("case", OUTSIDE)
def test_names_and_times_lie_inside_what_is_pinned(case: str) -> None:
    why, made = OUTSIDE[case]
    with pytest.raises(SigningRefused, match=why):
        permit(SignKind.CERTIFICATE, made(), ISSUING, CLOCK)


def test_no_leaf_lasts_longer_than_is_pinned() -> None:
    exactly = certificate(end=NOW + DAY - timedelta(seconds=1))
    pinned = replace(ISSUING, longest_life=86400)
    permit(SignKind.CERTIFICATE, exactly, pinned, CLOCK)
    for limits in (replace(pinned, longest_life=86399), replace(pinned, longest_life=0)):
        with pytest.raises(SigningRefused, match="lasts longer"):
            permit(SignKind.CERTIFICATE, exactly, limits, CLOCK)


# --- the other kinds ----------------------------------------------------------------------------


def crl(*extensions: x509.ExtensionType, issuer: str = "Issuing", end: datetime = NOW + DAY) -> bytes:
    builder = x509.CertificateRevocationListBuilder(name(issuer), NOW, end, [], [])
    for extension in extensions or (x509.CRLNumber(5), AUTHORITY):
        builder = builder.add_extension(extension, critical=False)
    return recorded(builder)


def csr(key: object = OWN) -> bytes:
    return recorded(x509.CertificateSigningRequestBuilder(name("Issuing")), key)


def answer(
    end: object = NOW + DAY,
    responder: x509.Certificate = OWN_CERTIFICATE,
    by_name: bool = False,
    start: datetime = NOW,
) -> bytes:
    builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
        b"n" * 20,
        b"k" * 20,
        77,
        SHA1(),
        ocsp.OCSPCertStatus.GOOD,
        start,
        end,
        None,
        None,  # type: ignore[arg-type]
    )
    encoding = ocsp.OCSPResponderEncoding.NAME if by_name else ocsp.OCSPResponderEncoding.HASH
    recorder = recording(responder.public_key())  # type: ignore[arg-type]
    builder.responder_id(encoding, responder).sign(recorder, algorithm_of(responder.public_key()).hash())  # type: ignore[arg-type]
    return recorder.tbs


FOREIGN_CERTIFICATE = x509.CertificateBuilder(
    name("Other"), name("Other"), FOREIGN.public_key(), 4, NOW, NOW + DAY
).sign(FOREIGN, signature_hash(FOREIGN.public_key()))
CHECKPOINT = b"ca.example/audit\n42\n" + b"A" * 43 + b"=\n"

PROPER: dict[SignKind, Callable[[], bytes]] = {
    SignKind.CERTIFICATE: certificate,
    SignKind.CRL: crl,
    SignKind.CSR: csr,
    SignKind.OCSP: answer,
    SignKind.CHECKPOINT: lambda: CHECKPOINT,
}
PROPER_BYTES = {kind: made() for kind, made in PROPER.items()}
MAY = {
    ("issuing", "certificate"),
    ("issuing", "crl"),
    ("issuing", "csr"),
    ("responder", "ocsp"),
    ("journal", "checkpoint"),
}
FACTS = {facts.purpose: facts for facts in (ROOT, ISSUING, RESPONDER, JOURNAL)}


@pytest.mark.parametrize(("purpose", "kind"), list(product(KeyPurpose, SignKind)))
def test_each_purpose_signs_its_kinds_and_no_other(purpose: KeyPurpose, kind: SignKind) -> None:
    if (purpose.value, kind.value) in MAY:
        permit(kind, PROPER[kind](), FACTS[purpose], CLOCK)
        return
    with pytest.raises(SigningRefused):
        permit(kind, PROPER[kind](), FACTS[purpose], CLOCK)


def test_the_table_of_kinds_is_complete() -> None:
    assert set(KINDS) == set(KeyPurpose)


@pytest.mark.parametrize(("presented", "kind"), [pair for pair in product(SignKind, SignKind) if pair[0] != pair[1]])
def test_no_structure_passes_for_another_kind(presented: SignKind, kind: SignKind) -> None:
    for facts in FACTS.values():
        with pytest.raises(SigningRefused):
            permit(kind, PROPER[presented](), facts, CLOCK)


@pytest.mark.parametrize(("state", "kind"), list(product(KeyState, SignKind)))
def test_kc07_a_key_signs_only_in_the_states_that_let_it(state: KeyState, kind: SignKind) -> None:
    facts = next(replace(one, state=state) for one in FACTS.values() if kind in KINDS[one.purpose])
    besides = {KeyState.PRE_ACTIVE: SignKind.CSR, KeyState.DEACTIVATED: SignKind.CRL}
    allowed = state is KeyState.ACTIVE or besides.get(state) is kind
    if allowed:
        permit(kind, PROPER[kind](), facts, CLOCK)
        return
    with pytest.raises(SigningRefused):
        permit(kind, PROPER[kind](), facts, CLOCK)


REFUSED: dict[str, tuple[SignKind, Callable[[], bytes]]] = {
    "a CRL of another issuer": (SignKind.CRL, lambda: crl(issuer="Root")),
    "a CRL without a number": (SignKind.CRL, lambda: crl(AUTHORITY)),
    "a CRL without an authority key": (SignKind.CRL, lambda: crl(x509.CRLNumber(5))),
    "a CRL without an end": (SignKind.CRL, lambda: altered(crl(), 4, b"")),
    "a CRL that ends as it begins": (SignKind.CRL, lambda: altered(crl(), 4, list(der.children(crl()))[3])),
    "a CRL with another algorithm": (SignKind.CRL, lambda: altered(crl(), 1, bytes.fromhex("300506032b6570"))),
    "a CRL with trailing octets": (SignKind.CRL, lambda: crl() + b"\x05\x00"),
    "a request for another key": (SignKind.CSR, lambda: csr(FOREIGN)),
    "an answer by another responder": (SignKind.OCSP, lambda: answer(responder=FOREIGN_CERTIFICATE)),
    "an answer by another responder's name": (
        SignKind.OCSP,
        lambda: answer(responder=FOREIGN_CERTIFICATE, by_name=True),
    ),
    "an answer that outlives its responder": (SignKind.OCSP, lambda: answer(end=NOW + 61 * DAY)),
    "an answer for eleven days": (SignKind.OCSP, lambda: answer(end=NOW + 11 * DAY)),
    "an answer from tomorrow": (SignKind.OCSP, lambda: answer(start=NOW + DAY, end=NOW + 2 * DAY)),
    "a CRL for eleven days": (SignKind.CRL, lambda: crl(end=NOW + 11 * DAY)),
    "an answer without an end": (SignKind.OCSP, lambda: answer(end=None)),
    "a checkpoint with a leading zero": (SignKind.CHECKPOINT, lambda: CHECKPOINT.replace(b"42", b"042")),
    "a checkpoint without its last newline": (SignKind.CHECKPOINT, lambda: CHECKPOINT[:-1]),
    "a checkpoint with another line": (SignKind.CHECKPOINT, lambda: CHECKPOINT + b"more\n"),
    "a checkpoint with a short head": (SignKind.CHECKPOINT, lambda: CHECKPOINT.replace(b"AAAA", b"", 1)),
    "a checkpoint with loose base64": (SignKind.CHECKPOINT, lambda: CHECKPOINT.replace(b"A=", b"B=")),
    "a checkpoint without an origin": (SignKind.CHECKPOINT, lambda: CHECKPOINT.replace(b"ca.example/audit", b"")),
    "a checkpoint with other letters": (SignKind.CHECKPOINT, lambda: CHECKPOINT.replace(b"ca.", "cä.".encode())),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_proper_is_refused(case: str) -> None:
    kind, made = REFUSED[case]
    facts = next(one for one in FACTS.values() if kind in KINDS[one.purpose])
    with pytest.raises(SigningRefused):
        permit(kind, made(), facts, CLOCK)


@given(data=st.data(), kind=st.sampled_from(SignKind))
@settings(max_examples=400, deadline=None)
def test_whatever_the_octets_it_permits_or_refuses(data: st.DataObject, kind: SignKind) -> None:
    """A few octets changed anywhere: never another error, and what passes is the whole of one structure."""
    octets = bytearray(PROPER_BYTES[kind])
    for _ in range(data.draw(st.integers(1, 3))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    facts = next(one for one in FACTS.values() if kind in KINDS[one.purpose])
    with suppress(SigningRefused):
        permit(kind, bytes(octets), facts, CLOCK)


def test_an_answer_by_name_is_signed() -> None:
    permit(SignKind.OCSP, answer(by_name=True), RESPONDER, CLOCK)


@pytest.mark.parametrize("kind", [SignKind.CERTIFICATE, SignKind.CRL])
def test_before_it_is_certified_an_issuing_key_signs_nothing_but_its_request(kind: SignKind) -> None:
    bare = replace(ISSUING, certificate=b"")
    with pytest.raises(SigningRefused, match="no certificate of its own"):
        permit(kind, PROPER[kind](), bare, CLOCK)
    permit(SignKind.CSR, csr(), replace(bare, state=KeyState.PRE_ACTIVE), CLOCK)
