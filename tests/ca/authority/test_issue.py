"""Issuance: what comes out, what is written beside it, and what is refused."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from ca import relying
from ca.authority import Authority
from ca.errors import BadPublicKey, Conflict, NotFound, PolicyDenied, SigningRefused
from ca.ocsp import answer_path, cert_id
from ca.records import Certificate, Intent, Reason, serial_hex, serial_shard
from tests.ca.authority.world import OPERATOR, World, a_request


def _answer(authority: Authority, certificate: Certificate, algorithm: str = "sha1") -> ocsp.OCSPResponse:
    issuer = x509.load_der_x509_certificate(authority.store.issuer(certificate.issuer).certificate)
    path = answer_path(cert_id(issuer, certificate.serial, algorithm))
    return ocsp.load_der_ocsp_response(authority.publisher.get(path).body)


def _actions(authority: Authority, certificate: Certificate) -> list[str]:
    suffix = f"{certificate.issuer}:{serial_hex(certificate.serial)}"
    events = [row for row in authority.export_journal() if str(row["event"]).find(suffix) >= 0]
    return [str(row["event"]) for row in events]


def test_a_certificate_is_stored_journalled_and_answered(authority: Authority) -> None:
    """X-02, O-02: the serial carries its shard; its status is published before the asker hears of it, and said again
    by the signer under the other hash, with a nonce."""
    certificate = authority.issue(a_request("one.test"))
    parsed = x509.load_der_x509_certificate(certificate.der)
    assert parsed.serial_number == certificate.serial
    assert len(serial_hex(certificate.serial)) == 38
    assert serial_shard(certificate.serial) == 0
    assert authority.certificate(certificate.serial) == certificate
    published = _answer(authority, certificate)
    assert published.certificate_status is ocsp.OCSPCertStatus.GOOD
    with pytest.raises(NotFound):
        _answer(authority, certificate, "sha256")
    body = published.public_bytes(Encoding.DER)
    again = ocsp.load_der_ocsp_response(authority.signer.freshen((body,), ("sha256",), b"n" * 32))
    issuer = x509.load_der_x509_certificate(authority.store.issuer(certificate.issuer).certificate)
    relying.verify_answer(again, issuer, authority.clock())
    assert again.issuer_key_hash == cert_id(issuer, certificate.serial, "sha256").key_hash
    assert again.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"n" * 32
    authority.revoke(certificate, Reason.KEY_COMPROMISE, OPERATOR)
    assert _answer(authority, certificate, "sha256").certificate_status is ocsp.OCSPCertStatus.REVOKED
    with pytest.raises(SigningRefused):
        authority.signer.freshen((body,), ("sha256",), b"n" * 32)


def test_the_life_is_exact_to_the_second(authority: Authority) -> None:
    """INC-08: N days are N*86400 seconds, both ends counted."""
    certificate = authority.issue(a_request(validity=86400))
    assert certificate.not_after - certificate.not_before + 1 == 86400


def test_a_short_lived_certificate_gets_no_answer(authority: Authority) -> None:
    """X-14: noRevAvail means no OCSP and no CRL pointers, and no answer is signed."""
    certificate = authority.issue(a_request(profile="short-lived"))
    with pytest.raises(NotFound):
        _answer(authority, certificate)


@pytest.mark.parametrize("name", ["outside.example", "8.8.8.8", "localhost", "*.deep.localhost.example"])
def test_names_outside_the_policy_are_refused_and_journalled(authority: Authority, name: str) -> None:
    """X-12: outside the permitted names, or the product's own host."""
    with pytest.raises(PolicyDenied):
        authority.issue(a_request(name))
    (refused,) = authority.store.recent(1)
    assert refused.action == "issuance.refused"
    assert b"policy-denied" in refused.body
    assert name.encode() not in refused.body, "names stand in the erasable side table alone (JOURNAL.md §2)"
    assert authority.store.open_intents(authority.clock() + 1) == ()


def test_a_junk_key_is_refused(authority: Authority) -> None:
    with pytest.raises(BadPublicKey):
        authority.issue(a_request(public_key=b"junk"))


def test_what_the_asker_adds_runs_inside_the_transactions(authority: Authority) -> None:
    """`within` may stop it before anything is written; `after` sees the stored certificate."""
    seen: list[str] = []

    def refuse(intent: Intent) -> None:
        raise Conflict("the order is gone")

    with pytest.raises(Conflict):
        authority.issue(a_request(), within=refuse)
    assert authority.store.open_intents(authority.clock() + 1) == ()

    def within(intent: Intent) -> None:
        assert authority.store.in_transaction()
        seen.append(intent.id)

    def after(certificate: Certificate) -> None:
        assert authority.store.in_transaction()
        seen.append(authority.store.by_serial(certificate.serial).sha256)

    certificate = authority.issue(a_request(), within=within, after=after)
    assert seen[1] == certificate.sha256


def test_an_asker_that_fails_after_the_signature_leaves_an_orphan(authority: Authority, world: World) -> None:
    """INC-05: the signature exists, so the serial gets a status: abandoned and revoked, never signed again."""

    def fail(certificate: Certificate) -> None:
        raise Conflict("the order was deactivated meanwhile")

    with pytest.raises(Conflict):
        authority.issue(a_request("orphan.test"), after=fail)
    (orphan,) = authority.store.open_intents(authority.clock() + 1)
    assert authority.sweep_intents().done == 0
    world.clock.ahead = 120
    assert authority.sweep_intents().done == 1
    assert authority.sweep_intents().done == 0
    assert orphan.serial in {one.serial for one in authority.store.orphans()}
    authority.refresh_ocsp()
    issuer = x509.load_der_x509_certificate(authority.store.issuer(orphan.issuer).certificate)
    path = answer_path(cert_id(issuer, orphan.serial, "sha1"))
    response = ocsp.load_der_ocsp_response(authority.publisher.get(path).body)
    assert response.certificate_status is ocsp.OCSPCertStatus.REVOKED


def test_the_journal_is_whole_after_all_this(authority: Authority) -> None:
    while authority.sequence_journal().done:
        pass
    authority.verify_journal()
    assert list(authority.export_journal())
