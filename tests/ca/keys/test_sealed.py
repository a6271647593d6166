"""Handles and seals: lint before sign is a type (HOUSE.md §5.2)."""

import copy
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from ca.clock import at
from ca.errors import CAError, Denied, SealBroken, SigningRefused
from ca.keys.algorithms import ALGORITHMS, PrivateKey, signature_hash
from ca.keys.handles import KeyHandle, private_key_over
from ca.keys.sealed import RecordingKey, SealedKey, recording, seal

KEYS: dict[str, PrivateKey] = {
    "ec-p256": ec.generate_private_key(ec.SECP256R1()),
    "ec-p384": ec.generate_private_key(ec.SECP384R1()),
    "rsa-2048": rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
}
EVERY = pytest.mark.parametrize("name", list(KEYS))
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Sealed")])
START = at(1_800_000_000)


def certificate_of(key: PrivateKey, serial: int = 1) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(NAME, NAME, key.public_key(), serial, START, START + timedelta(days=1))


@EVERY
def test_what_is_recorded_is_what_a_sealed_key_signs(name: str) -> None:
    key, builder = KEYS[name], certificate_of(KEYS[name])
    digest = signature_hash(key.public_key())
    recorder = recording(key.public_key())
    builder.sign(recorder, digest)  # type: ignore[arg-type]
    certificate = builder.sign(seal(key, recorder.tbs), digest)
    assert certificate.tbs_certificate_bytes == recorder.tbs
    certificate.verify_directly_issued_by(certificate)


@EVERY
def test_a_seal_breaks_at_other_bytes_and_stays_broken(name: str) -> None:
    key = KEYS[name]
    digest = signature_hash(key.public_key())
    recorder = recording(key.public_key())
    certificate_of(key).sign(recorder, digest)  # type: ignore[arg-type]
    sealed = seal(key, recorder.tbs)
    with pytest.raises(SealBroken):
        certificate_of(key, serial=2).sign(sealed, digest)
    with pytest.raises(SealBroken):
        certificate_of(key).sign(sealed, digest)


def test_of_many_threads_one_gets_the_signature() -> None:
    signed = []
    key = KEYS["ec-p256"]
    counted = private_key_over(key.public_key(), lambda tbs: signed.append(tbs) or b"signature")  # type: ignore[func-returns-value]
    sealed = seal(counted, b"bytes")

    def use(_: int) -> str:
        try:
            return sealed.sign(b"bytes", ec.ECDSA(SHA256())).decode()  # type: ignore[call-arg, union-attr, arg-type]
        except SealBroken:
            return "broken"

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(use, range(40)))
    assert sorted(results) == ["broken"] * 39 + ["signature"]
    assert signed == [b"bytes"]


def test_the_faces_are_what_the_builders_look_for() -> None:
    assert isinstance(recording(KEYS["ec-p256"].public_key()), ec.EllipticCurvePrivateKey)
    assert isinstance(recording(KEYS["rsa-2048"].public_key()), rsa.RSAPrivateKey)
    assert isinstance(recording(KEYS["ed25519"].public_key()), ed25519.Ed25519PrivateKey)
    assert isinstance(recording(KEYS["ed25519"].public_key()), RecordingKey)
    assert isinstance(seal(KEYS["rsa-2048"], b""), SealedKey)


@EVERY
def test_nothing_but_signatures_comes_out(name: str) -> None:
    handle = private_key_over(KEYS[name].public_key(), lambda tbs: b"s")
    with pytest.raises(Denied):
        handle.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for method in ("private_bytes_raw", "private_numbers", "decrypt", "exchange"):
        if hasattr(ALGORITHMS[name].private_type, method):
            with pytest.raises(CAError):
                getattr(handle, method)(b"")
    assert copy.copy(handle) is handle
    assert copy.deepcopy(handle) is handle
    assert handle.public_key() == KEYS[name].public_key()


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("ec-p256", (ec.ECDSA(SHA384()),)),
        ("ec-p256", (ec.ECDSA(Prehashed(SHA256())),)),
        ("ec-p384", (ec.ECDSA(SHA256()),)),
        ("rsa-2048", (padding.PKCS1v15(), SHA384())),
        ("rsa-2048", (padding.PKCS1v15(), Prehashed(SHA256()))),
        ("rsa-2048", (padding.PSS(padding.MGF1(SHA256()), 32), SHA256())),
        ("ed25519", (SHA256(),)),
    ],
)
def test_a_digest_or_another_algorithm_is_refused(name: str, how: tuple[object, ...]) -> None:
    """Otherwise the TBS would name one algorithm and the token use another (X-03)."""
    handle = KeyHandle(KEYS[name].public_key(), lambda tbs: b"never")
    with pytest.raises(SigningRefused):
        handle.sign(b"x" * 32, *how)
