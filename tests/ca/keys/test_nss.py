"""A second vendor: NSS softoken, through the same code as SoftHSM. What differs stands in docs/keys.md."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ca.clock import system_clock
from ca.errors import HSMUnavailable
from ca.keys.algorithms import load_spki, signature_hash
from ca.keys.client import private_key
from ca.records import KeyPurpose, SignKind
from tests.ca.keys.world import LABEL, PIN, ROOT, Signer, crl_of, issuer_of, leaf, ocsp_answer, wait_until

pytestmark = pytest.mark.slow
PLACES = (
    "/usr/lib/x86_64-linux-gnu/libsoftokn3.so",
    "/usr/lib/aarch64-linux-gnu/libsoftokn3.so",
    "/usr/lib64/libsoftokn3.so",
)
MAKE = """
import os, sys
from ca.keys.module import Module
module = Module.load(sys.argv[1], {"NSS_LIB_PARAMS": sys.argv[2]})
print(module.initialize_token(sys.argv[3], "", sys.argv[4]))
"""


@pytest.fixture(scope="module")
def nss(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    """A running signer over a new NSS token."""
    module = next((place for place in PLACES if Path(place).exists()), "")
    if not module:
        pytest.skip("NSS is not installed: apt-get install libnss3")
    folder = tmp_path_factory.mktemp("nss")
    (folder / "db").mkdir(mode=0o700)
    parameters = f"configdir='sql:{folder}/db' dbTokenDescription='{LABEL}' flags=noModDB"
    command = [sys.executable, "-c", MAKE, module, parameters, LABEL, PIN]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "software token" in made.stdout, made.stderr
    signer = Signer(folder, module)
    signer.pin(PIN)
    (folder / "certwright.toml").write_text(
        f'mode = "demo"\n[hsm]\nmodule = "{module}"\ntoken_label = "{LABEL}"\n'
        f'environment = {{ NSS_LIB_PARAMS = "{parameters}" }}\n'
    )
    signer.start()
    yield signer
    if signer.process and signer.process.poll() is None:
        assert signer.stop() == 0


@pytest.mark.parametrize("algorithm", ["ec-p256", "ec-p384", "rsa-2048"])
def test_what_a_ceremony_and_a_service_ask_of_it(nss: Signer, algorithm: str) -> None:
    """Issuing key with the demanded attributes, its CSR's key, a responder; certificate, CRL and OCSP answer."""
    client = nss.client()
    key, certificate = issuer_of(client, f"issuing-{algorithm}", algorithm)
    assert key.software
    made = {
        name: key.attributes[name] for name in ("SENSITIVE", "ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE", "EXTRACTABLE")
    }
    assert made == {"SENSITIVE": True, "ALWAYS_SENSITIVE": True, "NEVER_EXTRACTABLE": True, "EXTRACTABLE": False}
    assert key.attributes["LOCAL"] is False, "NSS has learnt to answer LOCAL: take it out of ca.keys.token.NOT_KEPT"
    issued = leaf(client, key, certificate)
    issued.verify_directly_issued_by(certificate)
    signing = private_key(client, key, SignKind.CRL)
    crl = crl_of(key, certificate).sign(signing, signature_hash(signing.public_key()))
    assert crl.is_signature_valid(load_spki(key.spki))
    responder = client.renew_responder(key.id)
    assert ocsp_answer(client, responder, issued, certificate).response_status.name == "SUCCESSFUL"
    assert responder.not_after > system_clock()


def test_many_at_once_and_again_after_a_kill(nss: Signer) -> None:
    client = nss.client()
    key, certificate = issuer_of(client, "issuing-many")
    with ThreadPoolExecutor(8) as pool:
        issued = list(pool.map(lambda _: leaf(client, key, certificate), range(80)))
    assert len({one.serial_number for one in issued}) == 80
    nss.stop(signal.SIGKILL)
    again = nss.start()
    leaf(again, key, certificate).verify_directly_issued_by(certificate)


def test_a_wrong_pin_is_tried_once(nss: Signer) -> None:
    nss.stop()
    nss.pin("999999")
    client = nss.start(ready=False)
    assert client.health().pin_refused
    wait_until(lambda: "refused this PIN before" in client.health().detail)
    nss.pin(PIN)
    assert wait_until(lambda: client.health().ok) < 10


def test_what_it_cannot_do_is_said_plainly(nss: Signer) -> None:
    """Debian 12's NSS makes no Ed25519 keys, which the journal's key is: the ceremony ends there.

    When this fails, NSS has learnt it: hold the whole ceremony on it here, and change docs/keys.md.
    """
    with pytest.raises(HSMUnavailable, match="could not generate a ed25519 key: CKR_MECHANISM_INVALID"):
        nss.client().generate("journal-g1", KeyPurpose.JOURNAL, "ed25519")


IMPORT = """
import sys
from cryptography.hazmat.primitives.asymmetric import ec
from pkcs11 import Attribute, KeyType, ObjectClass
from pkcs11.util.ec import encode_named_curve_parameters
from ca.keys.token import Token
token = Token.open(sys.argv[1], sys.argv[3], sys.argv[4], environment={"NSS_LIB_PARAMS": sys.argv[2]})
point = ec.generate_private_key(ec.SECP256R1()).private_numbers()
wanted = {"TOKEN": True, "PRIVATE": True, "SENSITIVE": True, "EXTRACTABLE": False, "SIGN": True, "ID": b"i" * 16}
wanted |= {"CLASS": ObjectClass.PRIVATE_KEY, "KEY_TYPE": KeyType.EC, "LABEL": "imported"}
wanted |= {"EC_PARAMS": encode_named_curve_parameters("secp256r1"), "VALUE": point.private_value.to_bytes(32, "big")}
made = token._token.open(rw=True).create_object({Attribute[name]: value for name, value in wanted.items()})
print(made[Attribute.ALWAYS_SENSITIVE], made[Attribute.NEVER_EXTRACTABLE], made[Attribute.LOCAL])
"""


def test_a_key_that_was_brought_in_says_so_though_nss_keeps_no_local(nss: Signer) -> None:
    """Why LOCAL may be excused there: the other two attributes tell generated keys from imported ones."""
    text = (nss.folder / "certwright.toml").read_text()
    parameters = text.partition('NSS_LIB_PARAMS = "')[2].partition('"')[0]
    command = [sys.executable, "-c", IMPORT, nss.module, parameters, LABEL, PIN]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["False", "False", "False"], done.stderr
