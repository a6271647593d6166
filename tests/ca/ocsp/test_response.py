"""OCSP answers: O-03 to O-06, O-12 to O-14, judged by openssl, pkilint and the library."""

from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from ca import crl
from ca.clock import at
from ca.ocsp import ALGORITHMS, cert_id, internal_error, malformed_request, try_later, unauthorized
from ca.ocsp.response import Status, answer
from ca.records import SYSTEM, Reason, Revocation

DAY = 86400


@pytest.fixture
def answered(hierarchy: Any) -> Any:
    def make(status: Status, algorithm: str = "sha1", start: int | None = None, end: int | None = None) -> bytes:
        this_update = hierarchy.now - 60 if start is None else start
        next_update = this_update + DAY if end is None else end
        return answer(
            hierarchy.issuing_certificate,
            hierarchy.responder,
            hierarchy.responder_key,
            status,
            algorithm,
            this_update,
            next_update,
        )

    return make


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_o02_o04_o06_a_good_answer(algorithm: str, hierarchy: Any, answered: Any) -> None:
    serial = hierarchy.serial()
    made = ocsp.load_der_ocsp_response(answered(Status(serial), algorithm))
    who = cert_id(hierarchy.issuing_certificate, serial, algorithm)
    assert made.response_status is ocsp.OCSPResponseStatus.SUCCESSFUL
    assert made.certificate_status is ocsp.OCSPCertStatus.GOOD
    assert (made.issuer_name_hash, made.issuer_key_hash, made.serial_number) == (who.name_hash, who.key_hash, serial)
    assert made.hash_algorithm.name == algorithm
    assert (made.this_update_utc, made.next_update_utc) == (at(hierarchy.now - 60), at(hierarchy.now - 60 + DAY))
    assert made.this_update_utc <= made.produced_at_utc <= made.next_update_utc
    own = x509.SubjectKeyIdentifier.from_public_key(hierarchy.responder.public_key()).digest
    assert made.responder_key_hash == own, "byKey is SHA-1 of the key's bits"
    assert made.certificates == [hierarchy.responder]


@pytest.mark.parametrize("reason", list(Reason))
def test_inc04_o14_crl_and_ocsp_render_one_fact(reason: Reason, hierarchy: Any, answered: Any) -> None:
    revoked_at = hierarchy.now - 600
    fact = Revocation("issuing-g1", 99, revoked_at, reason, SYSTEM, hierarchy.now + DAY)
    der = crl.build(hierarchy.issuing, hierarchy.issuing_key, [fact], 1, hierarchy.now, hierarchy.now + DAY)
    [entry] = x509.load_der_x509_crl(der)
    made = ocsp.load_der_ocsp_response(answered(Status(99, revoked_at, reason)))
    written = [one.value.reason for one in entry.extensions]
    assert made.certificate_status is ocsp.OCSPCertStatus.REVOKED
    assert made.revocation_time_utc == entry.revocation_date_utc
    assert made.revocation_reason == (written[0] if written else None)


def test_o05_an_answer_ends_with_its_responder(hierarchy: Any, answered: Any) -> None:
    end = int(hierarchy.responder.not_valid_after_utc.timestamp())
    made = ocsp.load_der_ocsp_response(answered(Status(1), end=end + 500))
    assert made.next_update_utc == at(end)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_b04_pkilint_finds_nothing_in_answers(algorithm: str, hierarchy: Any, answered: Any, pkilint: Any) -> None:
    for status in (Status(5), Status(5, hierarchy.now - 600), Status(5, hierarchy.now - 600, Reason.KEY_COMPROMISE)):
        assert pkilint("ocsp", answered(status, algorithm)) == []


def test_the_responders_certificate_is_accepted_by_pkilint(hierarchy: Any, pkilint: Any) -> None:
    assert pkilint("certificate", hierarchy.responder.public_bytes(Encoding.DER)) == []


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("revoked", [False, True])
def test_openssl_accepts_the_answer(
    algorithm: str, revoked: bool, hierarchy: Any, answered: Any, openssl: Any, tmp_path: Path
) -> None:
    leaf = x509.load_der_x509_certificate(hierarchy.issue(hierarchy.request("a.test")))
    status = (
        Status(leaf.serial_number, hierarchy.now - 600, Reason.SUPERSEDED) if revoked else Status(leaf.serial_number)
    )
    (tmp_path / "answer.der").write_bytes(answered(status, algorithm))
    for name, certificate in (("leaf", leaf), ("issuing", hierarchy.issuing_certificate)):
        (tmp_path / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    root = x509.load_der_x509_certificate(hierarchy.root.certificate)
    (tmp_path / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    said = openssl(
        "ocsp", f"-{algorithm}", "-issuer", "issuing.pem", "-cert", "leaf.pem", "-respin", "answer.der",
        "-CAfile", "root.pem", "-verify_other", "issuing.pem", "-no_nonce",
    )  # fmt: skip
    assert "Response verify OK" in said.stderr
    assert f"leaf.pem: {'revoked' if revoked else 'good'}" in said.stdout
    assert ("Reason: superseded" in said.stdout) is revoked


def test_o12_refusals_are_unsigned(openssl: Any, tmp_path: Path) -> None:
    for made, meaning in (
        (malformed_request(), "malformedrequest (1)"),
        (internal_error(), "internalerror (2)"),
        (try_later(), "trylater (3)"),
        (unauthorized(), "unauthorized (6)"),
    ):
        assert len(made) == 5
        (tmp_path / "refusal.der").write_bytes(made)
        shown = openssl("ocsp", "-respin", "refusal.der", "-noverify").stdout
        assert meaning in shown
