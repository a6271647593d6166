"""The acme library (josepy) obtains, renews and revokes: with P-256, RSA and Ed25519 certificate keys."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.interop import library
from tests.interop.relying import Chain, RelyingParty
from tests.interop.world import Demo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
KEYS = {
    "ec-p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ec-p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa-2048": lambda: rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


@pytest.mark.parametrize("kind", KEYS)
def test_the_library_obtains_renews_and_revokes(
    demo: Demo, relying: RelyingParty, wellknown: Path, home: Path, kind: str
) -> None:
    name, key = f"{kind}.library.localhost", KEYS[kind]()
    (home / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    acme = library.new_account(demo)
    first = Chain.parse(library.obtain(acme, _csr(name, key), wellknown))
    relying.accepts(first, name, key=home / "key.pem")

    second = Chain.parse(library.obtain(acme, _csr(name, key), wellknown))
    assert second.serial != first.serial
    relying.accepts(second, name, key=home / "key.pem")

    acme.revoke(second.leaf, 4)
    relying.refuses(second, reason="superseded")
    relying.accepts(first, name)


def _csr(name: str, key: object) -> bytes:
    names = x509.SubjectAlternativeName([x509.DNSName(name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=False)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return request.sign(key, algorithm).public_bytes(Encoding.PEM)
