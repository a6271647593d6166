"""Keys in a real token: KC-02, KC-08, and the practice of the library's builders, pinned (X-03)."""

import os
import secrets
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

from ca.clock import at
from ca.errors import BadRequest, Conflict, HSMUnavailable, KeyMismatch, PinRefused, PossiblySigned
from ca.keys import token as token_room
from ca.keys.algorithms import ALGORITHMS, algorithm_of, load_spki, signature_hash
from ca.keys.module import TokenInfo
from ca.keys.softhsm import provision_softhsm
from ca.keys.token import Token, TokenKey, token_private_key

EVERY = pytest.mark.parametrize("name", list(ALGORITHMS))
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Token")])
NOW = 1_800_000_000


@EVERY
def test_a_key_of_each_algorithm_signs_what_its_public_key_verifies(
    token: Token, keys: dict[str, TokenKey], name: str
) -> None:
    key, row = keys[name], ALGORITHMS[name]
    public_key = load_spki(key.spki)
    assert algorithm_of(public_key) is row
    signature = token.sign(key.key_id, name, b"whole structure")
    assert row.verifies(public_key, signature, b"whole structure")
    assert not row.verifies(public_key, signature, b"other structure")


@EVERY
def test_kc02_attributes_are_demanded_and_read_back(token: Token, keys: dict[str, TokenKey], name: str) -> None:
    key = keys[name]
    assert {name: key.attributes[name] for name in token_room.DEMANDED} == token_room.DEMANDED
    assert key.attributes["EXTRACTABLE"] is False
    assert key.attributes["KEY_TYPE"] == ALGORITHMS[name].key_type
    assert token.describe(key.key_id, name) == key
    assert token.find(key.label) == (key.key_id,)


@EVERY
def test_the_builders_accept_a_key_in_a_token(token: Token, keys: dict[str, TokenKey], name: str) -> None:
    key = token_private_key(token, keys[name])
    public_key, digest = key.public_key(), signature_hash(key.public_key())
    start, end = at(NOW), at(NOW) + timedelta(days=1)
    builder = x509.CertificateBuilder(NAME, NAME, public_key, 1, start, end)
    certificate = builder.sign(key, digest)
    certificate.verify_directly_issued_by(certificate)
    assert x509.CertificateSigningRequestBuilder(NAME).sign(key, digest).is_signature_valid
    revoked = x509.RevokedCertificateBuilder(7, start).build()
    crl = x509.CertificateRevocationListBuilder(NAME, start, end, [], [revoked]).sign(key, digest)
    assert crl.is_signature_valid(public_key)
    good = ocsp.OCSPResponseBuilder().add_response(
        certificate, certificate, SHA1(), ocsp.OCSPCertStatus.GOOD, start, end, None, None
    )
    answer = good.responder_id(ocsp.OCSPResponderEncoding.HASH, certificate).sign(key, digest)
    assert ALGORITHMS[name].verifies(public_key, answer.signature, answer.tbs_response_bytes)


def test_a_software_token_is_called_software(token: Token) -> None:
    assert token.info.software
    assert str(token.info).startswith("software token 'certwright' (SoftHSM project")


@pytest.mark.parametrize(
    ("manufacturer", "model", "software"),
    [
        ("SoftHSM project", "SoftHSM v2", True),
        ("Mozilla Foundation", "NSS 3", True),
        ("Kryoptic", "Kryoptic", True),
        ("Yubico (www.yubico.com)", "YubiHSM", False),
        ("SafeNet", "LunaSA 7", False),
    ],
)
def test_which_tokens_are_software(manufacturer: str, model: str, software: bool) -> None:
    assert TokenInfo("t", manufacturer, model, "1").software is software


def test_a_taken_key_id_is_refused(token: Token, keys: dict[str, TokenKey]) -> None:
    with pytest.raises(Conflict):
        token.generate("again", keys["ec-p256"].key_id, "ec-p256")
    assert token.describe(keys["ec-p256"].key_id, "ec-p256") == keys["ec-p256"]


def test_an_unknown_algorithm_names_the_known_ones(token: Token) -> None:
    with pytest.raises(BadRequest) as raised:
        token.generate("x", secrets.token_bytes(16), "ml-dsa-44")
    assert "ec-p256" in raised.value.next_step


def test_a_key_without_the_demanded_attributes_is_destroyed(token: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that ignores the template: here it is told EXTRACTABLE, and asked for the contrary."""
    extractable = {**token_room._PRIVATE_TEMPLATE, token_room.Attribute.EXTRACTABLE: True}
    monkeypatch.setattr(token_room, "_PRIVATE_TEMPLATE", extractable)
    with pytest.raises(KeyMismatch, match="EXTRACTABLE"):
        token.generate("loose", secrets.token_bytes(16), "ec-p256")
    assert token.find("loose") == ()


@pytest.mark.parametrize(
    ("held", "asked"),
    [
        ("ec-p256", "ec-p384"),
        ("ec-p384", "ec-p256"),
        ("rsa-2048", "rsa-3072"),
        ("rsa-2048", "ec-p256"),
        ("ec-p256", "rsa-2048"),
        ("ed25519", "ec-p256"),
    ],
)
def test_a_key_of_another_algorithm_is_a_mismatch(
    token: Token, keys: dict[str, TokenKey], held: str, asked: str
) -> None:
    with pytest.raises(KeyMismatch, match=f"no {asked} key"):
        token.describe(keys[held].key_id, asked)


def test_a_destroyed_key_is_gone(token: Token) -> None:
    key = token.generate("short", secrets.token_bytes(16), "ec-p256")
    assert token.sign(key.key_id, key.algorithm, b"x")
    token.destroy(key.key_id)
    with pytest.raises(HSMUnavailable):
        token.sign(key.key_id, key.algorithm, b"x")


def test_a_session_is_dropped_after_any_error(token: Token, keys: dict[str, TokenKey]) -> None:
    """An RSA key asked for ECDSA fails inside the token; the session that saw it is never used again."""
    key = keys["rsa-2048"]
    token.sign(key.key_id, key.algorithm, b"warm")
    before = list(token._free)
    # CKR_GENERAL_ERROR tells nothing: what cannot be ruled out counts as signed.
    with pytest.raises(PossiblySigned, match="CKR_GENERAL_ERROR"):
        token.sign(key.key_id, "ec-p256", b"wrong")
    assert [id(one) for one in token._free] == [id(one) for one in before[:-1]]
    assert token.sign(key.key_id, key.algorithm, b"again")


def test_a_second_login_in_one_process_is_refused(module: str, hsm: dict[str, str], token: Token) -> None:
    """The module would not look at the PIN then, so that a wrong one would seem right."""
    with pytest.raises(Conflict):
        Token.open(module, token.info.label, "wrong", environment=hsm)


def test_a_wrong_pin_says_so(module: str, hsm: dict[str, str], tmp_path: Path) -> None:
    provision_softhsm(Path(hsm["SOFTHSM2_CONF"]).parent, "other", "654321", module)
    with pytest.raises(PinRefused, match="CKR_PIN_INCORRECT") as raised:
        Token.open(module, "other", "000000", environment=hsm)
    assert "pin_source" in raised.value.next_step
    assert "000000" not in str(raised.value)
    opened = Token.open(module, "other", "654321", environment=hsm)
    opened.close()


def test_a_missing_token_says_so(module: str, hsm: dict[str, str]) -> None:
    with pytest.raises(HSMUnavailable, match="0 tokens labelled 'nobody'"):
        Token.open(module, "nobody", PIN_OF_NOBODY, environment=hsm)


PIN_OF_NOBODY = "0000"


def test_a_missing_module_says_so() -> None:
    with pytest.raises(HSMUnavailable, match=r"no PKCS#11 module at /nowhere\.so"):
        Token.open("/nowhere.so", "x", PIN_OF_NOBODY)


def test_what_is_no_module_says_so(tmp_path: Path) -> None:
    fake = tmp_path / "fake.so"
    fake.write_bytes(b"not a library")
    with pytest.raises(HSMUnavailable):
        Token.open(str(fake), "x", PIN_OF_NOBODY)


def test_provisioning_twice_changes_nothing(module: str, hsm: dict[str, str], token: Token) -> None:
    folder = Path(hsm["SOFTHSM2_CONF"]).parent
    assert provision_softhsm(folder, token.info.label, "another pin", module) == hsm
    token.probe()
    for private in (folder, folder / "tokens"):
        assert private.stat().st_mode & 0o777 == 0o700
    assert Path(hsm["SOFTHSM2_CONF"]).stat().st_mode & 0o777 == 0o600


def test_a_forked_child_does_not_touch_the_token(token: Token, keys: dict[str, TokenKey]) -> None:
    key = keys["ec-p256"]
    child = os.fork()
    if child == 0:
        try:
            token.sign(key.key_id, key.algorithm, b"x")
        except HSMUnavailable:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert token.sign(key.key_id, key.algorithm, b"x")


STRESS = """
import secrets, sys
from pathlib import Path
from threading import Thread
from ca.keys.algorithms import ALGORITHMS, load_spki
from ca.keys.token import Token, provision_softhsm

folder, module = Path(sys.argv[1]), sys.argv[2]
environment = provision_softhsm(folder, "stress", "123456", module)
token = Token.open(module, "stress", "123456", environment=environment, sessions=8)
names = ["ec-p256", "ec-p384", "ed25519"]
keys = [token.generate(name, secrets.token_bytes(16), name) for name in names]
publics = [load_spki(key.spki) for key in keys]
wrong = []

def work(number):
    for turn in range(150):
        key, public = keys[(number + turn) % 3], publics[(number + turn) % 3]
        data = f"{number} {turn}".encode()
        if not ALGORITHMS[key.algorithm].verifies(public, token.sign(key.key_id, key.algorithm, data), data):
            wrong.append(data)

threads = [Thread(target=work, args=(number,)) for number in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
token.close()
print("signed", 8 * 150, "wrong", len(wrong))
"""


def test_eight_threads_sign_without_a_crash_or_a_wrong_signature(module: str, tmp_path: Path) -> None:
    """In a process of its own: as python-pkcs11 ships, this crashes the interpreter."""
    command = [sys.executable, "-c", STRESS, str(tmp_path / "hsm"), module]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "signed 1200 wrong 0\n"
    assert done.stderr == ""


def test_ecdsa_signatures_are_der(token: Token, keys: dict[str, TokenKey]) -> None:
    """Raw r||s would be accepted silently by the builders and make a bad certificate."""
    key = keys["ec-p384"]
    signature = token.sign(key.key_id, key.algorithm, b"x")
    assert signature[0] == 0x30
    public_key = load_spki(key.spki)
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    assert len(signature) > 96
