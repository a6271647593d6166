"""The signer as a process: real sockets, a real token, real signals."""

import os
import socket
import stat
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Thread

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ca.clock import system_clock
from ca.errors import (
    BadRequest,
    Conflict,
    HSMBusy,
    KeyMismatch,
    NotFound,
    PossiblySigned,
    SigningRefused,
)
from ca.keys import wire
from ca.keys.algorithms import ALGORITHMS, load_spki, signature_hash
from ca.keys.client import SignerClient, private_key
from ca.records import SERIAL_OCTETS, KeyPurpose, SignKind, serial_shard
from tests.ca.keys.world import (
    Signer,
    answers,
    certify,
    crl_of,
    issuer_certificate,
    issuer_of,
    leaf,
    ocsp_answer,
    wait_until,
)

CHECKPOINT = b"ca.example/audit\n1\n" + b"A" * 43 + b"=\n"


# --- what it is for -----------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["ec-p256", "ec-p384", "rsa-2048", "ed25519"])
def test_an_issuer_from_ceremony_to_answers(signer: Signer, algorithm: str) -> None:
    """Key, CSR, certificate, leaf, CRL, responder, OCSP answer: all by the library's builders."""
    client = signer.client()
    made = client.generate(f"walk-{algorithm}", KeyPurpose.ISSUING, algorithm)
    assert made.state == "pre-active"
    assert made.software
    assert made.attributes["NEVER_EXTRACTABLE"] is True
    request_key = private_key(client, made, SignKind.CSR)
    digest = signature_hash(request_key.public_key())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Test walk-{algorithm}")])
    assert x509.CertificateSigningRequestBuilder(name).sign(request_key, digest).is_signature_valid

    der = issuer_certificate(made.spki, f"Test walk-{algorithm}")
    client.certify(made.id, der)
    certificate = x509.load_der_x509_certificate(der)
    key = client.key(made.id)
    assert key.state == "active"
    issued = leaf(client, key, certificate)
    issued.verify_directly_issued_by(certificate)
    public_key = load_spki(key.spki)
    assert (
        crl_of(key, certificate, 3).sign(private_key(client, key, SignKind.CRL), digest).is_signature_valid(public_key)
    )

    responder = client.renew_responder(key.id)
    answer = ocsp_answer(client, responder, issued, certificate)
    responder_key = load_spki(client.key(responder.key_id).spki)
    assert ALGORITHMS[algorithm].verifies(responder_key, answer.signature, answer.tbs_response_bytes)


def test_o05_the_responder_is_made_inside_by_a_fixed_template(signer: Signer) -> None:
    client = signer.client()
    key, issuer = issuer_of(client, "delegating-g1")
    made = client.renew_responder(key.id)
    certificate = x509.load_der_x509_certificate(made.certificate)
    certificate.verify_directly_issued_by(issuer)
    extensions = {one.value.__class__: one for one in certificate.extensions}
    assert made.key_id == "delegating-g1-ocsp-1"
    assert certificate.subject.rfc4514_string() == "CN=Test delegating-g1 OCSP"
    assert list(extensions[x509.ExtendedKeyUsage].value) == [ExtendedKeyUsageOID.OCSP_SIGNING]
    assert x509.OCSPNoCheck in extensions
    assert extensions[x509.KeyUsage].critical
    assert extensions[x509.KeyUsage].value.digital_signature
    assert not extensions[x509.KeyUsage].value.key_cert_sign
    assert extensions[x509.BasicConstraints].critical
    assert not extensions[x509.BasicConstraints].value.ca
    assert certificate.serial_number.bit_length() <= SERIAL_OCTETS * 8
    assert serial_shard(certificate.serial_number) == 0
    assert client.key(made.key_id).spki != key.spki
    assert made.not_after - made.not_before == 30 * 86400 - 1
    assert 0 <= system_clock() - made.not_before - 3600 < 60


def test_o05_a_responder_is_made_once_a_day_and_lives_within_its_issuer(signer: Signer) -> None:
    client = signer.client()
    certify(client, "short-g1", days=5, begun=600)
    first = client.renew_responder("short-g1")
    assert client.renew_responder("short-g1") == first
    every = client.keys()
    assert sum(key.id.startswith("short-g1-ocsp") for key in every) == 1
    issuer_end = system_clock() + 5 * 86400
    assert issuer_end - 60 <= first.not_after <= issuer_end
    assert 600 <= system_clock() - first.not_before < 660


def test_only_a_certified_issuing_key_has_responders(signer: Signer) -> None:
    client = signer.client()
    client.generate("bare-g1", KeyPurpose.ISSUING, "ec-p256")
    client.generate("journal-g1", KeyPurpose.JOURNAL, "ed25519")
    for key_id in ("bare-g1", "journal-g1"):
        with pytest.raises(SigningRefused):
            client.renew_responder(key_id)
    with pytest.raises(NotFound):
        client.renew_responder("nobody-g1")


def test_certifying_checks_the_key_and_happens_once(signer: Signer) -> None:
    client = signer.client()
    key = client.generate("certified-g1", KeyPurpose.ISSUING, "ec-p256")
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(KeyMismatch):
        client.certify(key.id, issuer_certificate(spki_bytes(other), "Other"))
    with pytest.raises(BadRequest):
        client.certify(key.id, issuer_certificate(key.spki, "Leaf", ca=False))
    with pytest.raises(BadRequest):
        client.certify(key.id, b"junk")
    right = issuer_certificate(key.spki, "Certified")
    client.certify(key.id, right)
    client.certify(key.id, right)
    with pytest.raises(Conflict):
        client.certify(key.id, issuer_certificate(key.spki, "Certified again"))


def test_a_deactivated_issuing_key_signs_its_crls_alone(signer: Signer) -> None:
    client = signer.client()
    key, certificate = issuer_of(client, "retiring-g1")
    client.deactivate(key.id)
    client.deactivate(key.id)
    assert client.key(key.id).state == "deactivated"
    with pytest.raises(SigningRefused, match="deactivated"):
        leaf(client, key, certificate)
    request = x509.CertificateSigningRequestBuilder(certificate.subject)
    with pytest.raises(SigningRefused, match="deactivated"):
        request.sign(private_key(client, key, SignKind.CSR), signature_hash(load_spki(key.spki)))
    told = crl_of(key, certificate).sign(private_key(client, key, SignKind.CRL), signature_hash(load_spki(key.spki)))
    assert told.is_signature_valid(certificate.public_key())  # type: ignore[arg-type]
    responder = client.renew_responder(key.id)
    with pytest.raises(SigningRefused, match="decides"):
        client.deactivate(responder.key_id)
    with pytest.raises(NotFound):
        client.deactivate("nobody-g1")
    with pytest.raises(Conflict):
        client.certify(key.id, issuer_certificate(key.spki, "Again"))


def spki_bytes(key: ec.EllipticCurvePublicKey) -> bytes:
    from ca.keys.algorithms import spki_of

    return spki_of(key)


def test_an_id_is_used_once(signer: Signer) -> None:
    client = signer.client()
    with pytest.raises(Conflict) as raised:
        client.generate("issuing-g1", KeyPurpose.ISSUING, "ec-p256")
    assert raised.value.next_step
    with pytest.raises(NotFound):
        client.key("nobody-g1")
    with pytest.raises(BadRequest):
        client.generate("odd-g1", KeyPurpose.ISSUING, "dsa-1024")


def test_refusals_arrive_as_themselves(signer: Signer) -> None:
    client = signer.client()
    with pytest.raises(SigningRefused, match="no proper certificate"):
        client.sign("issuing-g1", SignKind.CERTIFICATE, b"junk")
    with pytest.raises(SigningRefused, match="does not sign the kind ocsp"):
        client.sign("issuing-g1", SignKind.OCSP, b"junk")
    with pytest.raises(NotFound):
        client.sign("nobody-g1", SignKind.CRL, b"junk")


def test_many_threads_share_a_client(signer: Signer) -> None:
    client = signer.client()
    key, certificate = issuer_of(client, "shared-g1")
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda serial: leaf(client, key, certificate, serial), range(1, 161)))
    assert [one.serial_number for one in made] == list(range(1, 161))
    for one in made:
        one.verify_directly_issued_by(certificate)


def test_health_says_what_token_it_is(signer: Signer) -> None:
    health = signer.client().health()
    assert health.ok
    assert health.software
    assert health.token.startswith("software token 'certwright'")
    assert health.keys >= 1
    assert set(health.waiting) == {"urgent", "issuance", "ocsp"}


def test_the_socket_is_for_user_and_group(signer: Signer) -> None:
    assert stat.S_IMODE(signer.socket.stat().st_mode) == 0o660
    assert stat.S_IMODE((signer.folder / "state" / "signer").stat().st_mode) == 0o700


def test_it_leaves_no_core_and_cannot_be_traced(signer: Signer) -> None:
    assert signer.process is not None
    limits = Path(f"/proc/{signer.process.pid}/limits").read_text()
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]
    program = (
        "import ctypes; from ca.keys.signer.process import _forbid_dumps as f; f();"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert done.stdout == "0\n", done.stderr


# --- bad input ----------------------------------------------------------------------------------


def raw(signer: Signer) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(5)
    connection.connect(str(signer.socket))
    return connection


def told(connection: socket.socket) -> wire.Answers:
    return wire.decode_answer(wire.receive_body(connection, wire.receive_size(connection, 5)))


JUNK = {
    "no msgpack": b"\xc1\xc1\xc1",
    "an HTTP request": b"GET / HTTP/1.0\r\n\r\n",
    "an unknown operation": msgspec.msgpack.encode({"op": "export", "id": 1, "seconds": 1.0}),
    "a missing field": msgspec.msgpack.encode({"op": "sign", "id": 1, "seconds": 1.0}),
    "an unknown field": msgspec.msgpack.encode({"op": "keys", "id": 1, "seconds": 1.0, "digest": b"x"}),
    "an unknown kind": msgspec.msgpack.encode(
        {"op": "sign", "id": 1, "seconds": 1.0, "key": "issuing-g1", "kind": "digest", "tbs": b"x"}
    ),
    "a list": msgspec.msgpack.encode([1, 2, 3]),
    "text that is no UTF-8": b"\x81\xa2op\xa2\xff\xfe",
}


@pytest.mark.parametrize("case", JUNK)
def test_junk_gets_an_answer_and_hurts_nobody(signer: Signer, case: str) -> None:
    with raw(signer) as connection:
        wire.send(connection, JUNK[case])
        answer = told(connection)
        assert isinstance(answer, wire.Failure)
        assert (answer.id, answer.code) == (0, "bad-request")
        assert connection.recv(1) == b""
    assert signer.client().health().ok


@pytest.mark.parametrize("size", [0, wire.LARGE_FRAME + 1, 0xFFFFFFFF])
def test_an_impossible_length_is_refused_at_once(signer: Signer, size: int) -> None:
    with raw(signer) as connection:
        connection.sendall(struct.pack(">I", size))
        answer = told(connection)
    assert isinstance(answer, wire.Failure)
    assert answer.code == "bad-request"


def test_only_a_crl_may_be_large(signer: Signer) -> None:
    client = signer.client()
    with pytest.raises(BadRequest, match="only a CRL"):
        client.sign("issuing-g1", SignKind.CERTIFICATE, b"\x30" * (wire.SMALL_FRAME + 1))
    key, certificate = issuer_of(client, "large-g1")
    crl = crl_of(key, certificate, 60_000).sign(
        private_key(client, key, SignKind.CRL), signature_hash(load_spki(key.spki))
    )
    assert len(crl.tbs_certlist_bytes) > wire.SMALL_FRAME
    assert crl.is_signature_valid(load_spki(key.spki))


def test_slow_and_silent_peers_keep_nobody_waiting(signer: Signer) -> None:
    """Half a header, half a frame, a large frame that never comes: others are served meanwhile."""
    peers = [raw(signer) for _ in range(12)]
    for number, peer in enumerate(peers):
        peer.sendall([b"", b"\x00", struct.pack(">I", 100) + b"half", struct.pack(">I", wire.LARGE_FRAME)][number % 4])
    start = time.monotonic()
    assert signer.client().health().ok
    assert time.monotonic() - start < 1
    for peer in peers:
        peer.close()


def test_a_frame_that_drips_has_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "FRAME_SECONDS", 0.3)
    ours, theirs = socket.socketpair()

    def drip() -> None:
        for _ in range(20):
            try:
                theirs.sendall(b"x")
            except OSError:
                return
            time.sleep(0.05)

    thread = Thread(target=drip)
    thread.start()
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        wire.receive_body(ours, 1000)
    assert time.monotonic() - start < 0.6
    ours.close()
    thread.join()
    theirs.close()


def test_more_peers_than_places_are_told_so(signer: Signer) -> None:
    peers = []
    try:
        wait_until(lambda: turned_away(signer, peers))  # places of the test before may come free meanwhile
    finally:
        for peer in peers:
            peer.close()
    assert 150 < len(peers) < 256, "one user never holds every place"
    wait_until(lambda: answers(signer.client()))


def turned_away(signer: Signer, peers: list[socket.socket]) -> bool:
    """Whether, with every place taken, who asks as a client is told why."""
    while served(signer, peers):
        assert len(peers) < 300
    try:
        signer.client().health()
    except HSMBusy as busy:
        return "no connection free" in busy.detail
    return False


def served(signer: Signer, peers: list[socket.socket]) -> bool:
    peers.append(raw(signer))
    # Who is turned away may find the door shut before he has asked: the word why lies ready all the same.
    with suppress(BrokenPipeError):
        wire.send(peers[-1], wire.encode(wire.Health(1, 1.0)))
    return isinstance(told(peers[-1]), wire.HealthReport)


# --- a signer that does not answer ---------------------------------------------------------------


def test_an_unanswered_signature_may_exist(tmp_path: Path) -> None:
    """A signer that reads the question and is gone, or says nothing in time."""
    for silence in (0.0, 5.0):
        path = tmp_path / f"s{silence}"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        listener.listen(1)

        def swallow(listener: socket.socket = listener, silence: float = silence) -> None:
            connection, _ = listener.accept()
            wire.receive_body(connection, wire.receive_size(connection, 5))
            time.sleep(silence and 2.0)
            connection.close()

        thread = Thread(target=swallow)
        thread.start()
        with pytest.raises(PossiblySigned) as raised:
            SignerClient(path, timeout=0.2).sign("issuing-g1", SignKind.CRL, b"tbs")
        assert "never signed again" in raised.value.next_step
        thread.join()
        listener.close()


def test_a_child_of_a_fork_uses_connections_of_its_own(signer: Signer) -> None:
    client = signer.client()
    client.keys()
    child = os.fork()
    if child == 0:
        os._exit(0 if client.health().ok and len(client._idle) == 1 else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert client.health().ok
