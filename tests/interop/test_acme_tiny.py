"""acme-tiny (Debian; Python's standard library) obtains, and obtains again: it knows no renewal and no revocation."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.interop.relying import PEM, Chain, RelyingParty
from tests.interop.world import Demo, environment, need, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NAME = "tiny.localhost"


def test_acme_tiny_obtains_twice(demo: Demo, home: Path, relying: RelyingParty, wellknown: Path) -> None:
    account, key = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
    for one, file in ((account, "account.pem"), (key, "key.pem")):
        (home / file).write_bytes(one.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    names = x509.SubjectAlternativeName([x509.DNSName(NAME)])
    request = x509.CertificateSigningRequestBuilder(x509.Name([])).add_extension(names, False)
    (home / "request.pem").write_bytes(request.sign(key, hashes.SHA256()).public_bytes(PEM))
    words = ("--account-key", home / "account.pem", "--csr", home / "request.pem", "--acme-dir", wellknown, "--quiet")
    more = ("--disable-check", "--directory-url", demo.directory)
    found = []
    for number in range(2):
        printed = run(need("acme-tiny"), *words, *more, env=environment(home, SSL_CERT_FILE=str(demo.root)))
        (home / f"{number}.pem").write_text(printed)
        found.append(Chain.read(home / f"{number}.pem"))
        relying.accepts(found[-1], NAME, key=home / "key.pem")
    assert found[0].serial != found[1].serial
