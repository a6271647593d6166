"""The ledger of a signer process: killed, damaged, and with OCSP answers counted."""

import hashlib
import signal
import threading
from pathlib import Path

import pytest
from cryptography import x509

from ca.errors import CAError, LedgerBroken, PossiblySigned, SigningRefused, StalePublication
from ca.keys import ledger
from ca.keys.algorithms import signature_hash
from ca.keys.client import private_key
from ca.keys.ledger import Entry
from ca.records import SignKind
from tests.ca.keys.world import Signer, crl_of, issuer_of, leaf, ocsp_answer, wait_until
from tests.faults.disks import failing_fsync

pytestmark = pytest.mark.slow


def folder(signer: Signer) -> Path:
    return signer.folder / "state" / "signer" / "ledger"


def entries(signer: Signer, kind: str) -> list[Entry]:
    return [one for one in ledger.read(folder(signer)) if one.kind == kind]


def test_killed_under_load_every_signature_that_left_stands_in_the_ledger(new_signer: Signer) -> None:
    client = new_signer.start()
    key, issuer = issuer_of(client, "issuing-g1")
    got: list[x509.Certificate] = []

    def sign() -> None:
        try:
            while True:
                got.append(leaf(client, key, issuer))
        except CAError:
            return

    threads = [threading.Thread(target=sign) for _ in range(6)]
    for one in threads:
        one.start()
    wait_until(lambda: len(got) > 50)
    new_signer.stop(signal.SIGKILL)
    for one in threads:
        one.join(10)
    client = new_signer.start()
    written = {one.sha256 for one in entries(new_signer, "certificate")}
    assert {hashlib.sha256(one.tbs_certificate_bytes).digest() for one in got} <= written
    for one in (got[0], got[-1]):
        with pytest.raises(SigningRefused, match="already"):
            leaf(client, key, issuer, serial=one.serial_number)


def test_INC02_no_lower_crl_number_after_a_restart(new_signer: Signer) -> None:
    client = new_signer.start()
    key, issuer = issuer_of(client, "issuing-g1")

    def sign() -> x509.CertificateRevocationList:
        return crl_of(key, issuer).sign(private_key(client, key, SignKind.CRL), signature_hash(issuer.public_key()))

    made = sign()
    new_signer.stop(signal.SIGKILL)
    client = new_signer.start()
    with pytest.raises(StalePublication):
        sign()
    (one,) = entries(new_signer, "crl")
    assert one.tbs == made.tbs_certlist_bytes


def test_what_the_signer_signs_by_itself_is_entered_and_answers_are_counted(new_signer: Signer) -> None:
    client = new_signer.start()
    key, issuer = issuer_of(client, "issuing-g1")
    responder = client.renew_responder("issuing-g1")
    (own,) = entries(new_signer, "responder")
    assert own.tbs == x509.load_der_x509_certificate(responder.certificate).tbs_certificate_bytes
    issued = leaf(client, key, issuer)
    for _ in range(20):
        ocsp_answer(client, responder, issued, issuer)
    wait_until(lambda: sum(one.number for one in entries(new_signer, "ocsp")) == 20, seconds=3)
    ocsp_answer(client, responder, issued, issuer)
    assert new_signer.stop() == 0
    assert sum(one.number for one in entries(new_signer, "ocsp")) == 21
    assert {one.key for one in entries(new_signer, "ocsp")} == {responder.key_id}


def test_a_signer_whose_ledger_is_damaged_listens_says_so_and_signs_nothing(new_signer: Signer) -> None:
    client = new_signer.start()
    key, issuer = issuer_of(client, "issuing-g1")
    leaf(client, key, issuer)
    assert new_signer.stop() == 0
    path = ledger.segment_path(folder(new_signer), 1)
    path.write_bytes(path.read_bytes()[:-40])
    client = new_signer.start(ready=False)
    health = client.health()
    assert not health.ok
    assert "was cut or changed" in health.detail
    assert "docs/keys.md" in health.detail
    with pytest.raises(LedgerBroken, match="was cut or changed"):
        leaf(client, key, issuer)


def test_after_a_failed_fsync_no_signature_leaves_until_a_restart_has_written_it_again(
    new_signer: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel forgets what it could not write and says so once: a second fsync that succeeds means nothing."""
    fsync = failing_fsync(tmp_path)
    for name, value in fsync.environment.items():
        monkeypatch.setenv(name, value)
    client = new_signer.start()
    key, issuer = issuer_of(client, "issuing-g1")
    leaf(client, key, issuer)
    with fsync.failing(".ledger"):
        with pytest.raises(PossiblySigned, match="could not be made durable"):
            leaf(client, key, issuer, serial=4711)
        assert "could not be made durable" in client.health().detail
    with pytest.raises(LedgerBroken, match="could not be made durable"):
        leaf(client, key, issuer)
    assert not client.health().ok
    new_signer.stop(signal.SIGKILL)
    client = new_signer.start()
    with pytest.raises(SigningRefused, match="already"):
        leaf(client, key, issuer, serial=4711)
    leaf(client, key, issuer)
    assert len(entries(new_signer, "certificate")) == 3
