"""Revocation: one fact, two renderings, at once when the HSM is there and later when it is not."""

import pytest
from cryptography import x509
from cryptography.x509 import ocsp

from ca import crl
from ca.authority import Authority
from ca.authority.revoke import LEAF_REASONS, parse_reason
from ca.errors import AlreadyRevoked, BadRevocationReason, HSMUnavailable
from ca.ocsp import answer_path, cert_id
from ca.records import REASON_CODES, Certificate, Reason, serial_shard
from tests.ca.authority.world import OPERATOR, World, a_request, owning

pytestmark = pytest.mark.slow


def _ocsp(authority: Authority, certificate: Certificate) -> ocsp.OCSPResponse:
    issuer = x509.load_der_x509_certificate(authority.store.issuer(certificate.issuer).certificate)
    body = authority.publisher.folder.get(answer_path(cert_id(issuer, certificate.serial, "sha1")))
    assert body is not None
    return ocsp.load_der_ocsp_response(body.body)


def _crl(authority: Authority, certificate: Certificate) -> x509.CertificateRevocationList:
    published = authority.publisher.folder.get(crl.shard_path(certificate.issuer, serial_shard(certificate.serial)))
    assert published is not None
    return x509.load_der_x509_crl(published.body)


def test_ocsp_and_crl_agree_when_it_returns(authority: Authority) -> None:
    """INC-04, O-14: status, time and reason are the same in both, in the files that relying parties get."""
    certificate = authority.issue(a_request())
    outcome = authority.revoke(certificate, Reason.SUPERSEDED, OPERATOR, "replaced")
    assert outcome.published_in is not None
    answer = _ocsp(authority, certificate)
    entry = _crl(authority, certificate).get_revoked_certificate_by_serial_number(certificate.serial)
    assert answer.certificate_status is ocsp.OCSPCertStatus.REVOKED
    assert entry is not None
    assert entry.revocation_date_utc == answer.revocation_time_utc
    assert answer.revocation_time_utc is not None
    assert answer.this_update_utc >= answer.revocation_time_utc
    assert _crl(authority, certificate).last_update_utc >= entry.revocation_date_utc
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is answer.revocation_reason
    assert authority.certificate(certificate.serial).status(authority.clock()) == "revoked"


def test_a_second_revocation_is_refused_but_key_compromise_is_an_upgrade(authority: Authority, world: World) -> None:
    """INC-04: an upgrade to keyCompromise reaches the CRL as well as OCSP."""
    certificate = authority.issue(a_request())
    authority.revoke(certificate, Reason.SUPERSEDED, OPERATOR)
    with pytest.raises(AlreadyRevoked):
        authority.revoke(certificate, Reason.CESSATION_OF_OPERATION, OPERATOR)
    world.clock.ahead = 90
    upgraded = authority.revoke(certificate, Reason.KEY_COMPROMISE, OPERATOR).revocation
    entry = _crl(authority, certificate).get_revoked_certificate_by_serial_number(certificate.serial)
    assert entry is not None
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.key_compromise
    assert upgraded.revoked_at == int(entry.revocation_date_utc.timestamp()), "the first time stands"
    assert _ocsp(authority, certificate).revocation_reason is x509.ReasonFlags.key_compromise
    with pytest.raises(AlreadyRevoked):
        authority.revoke(certificate, Reason.KEY_COMPROMISE, OPERATOR)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_decided(authority: Authority, reason: Reason) -> None:
    """Deny by default over the whole enum."""
    if reason in LEAF_REASONS:
        assert parse_reason(REASON_CODES[reason]) is parse_reason(reason.value) is reason
        return
    with pytest.raises(BadRevocationReason):
        parse_reason(reason.value)
    certificate = authority.issue(a_request())
    if reason is Reason.CERTIFICATE_HOLD:
        assert authority.revoke(certificate, reason, OPERATOR).revocation.reason is reason, "for operators alone"
        return
    with pytest.raises(BadRevocationReason):
        authority.revoke(certificate, reason, OPERATOR)


@pytest.mark.parametrize("value", [7, 8, 11, -1, "removeFromCRL", "", "KeyCompromise"])
def test_unknown_reasons_are_refused(value: int | str) -> None:
    with pytest.raises(BadRevocationReason):
        parse_reason(value)


def test_crl_numbers_only_rise_and_nothing_is_published_without_need(authority: Authority, world: World) -> None:
    """INC-02, L-02: and a CRL is signed again at half of its life without any revocation."""
    certificate = authority.issue(a_request())
    authority.revoke(certificate, Reason.SUPERSEDED, OPERATOR)
    authority.publish_crls()
    first = _number(_crl(authority, certificate))
    assert authority.publish_crls().done == 0
    world.clock.ahead = authority.config.ca.crl_life // 2 + 60
    assert authority.publish_crls().done == 2, "the shard and the list over all"
    assert _number(_crl(authority, certificate)) > first


def _number(published: x509.CertificateRevocationList) -> int:
    return published.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def test_without_hsm_the_revocation_stands_and_is_published_on_its_return(authority: Authority, world: World) -> None:
    certificate = authority.issue(a_request())
    world.kill_signer()
    outcome = authority.revoke(certificate, Reason.KEY_COMPROMISE, OPERATOR)
    assert outcome.published_in is None
    assert authority.certificate(certificate.serial).reason == Reason.KEY_COMPROMISE
    assert _ocsp(authority, certificate).certificate_status is ocsp.OCSPCertStatus.GOOD
    with pytest.raises(HSMUnavailable):
        authority.issue(a_request())
    assert authority.store.open_intents(authority.clock() + 1) == ()
    world.start_signer()
    assert authority.refresh_ocsp().done >= 1
    assert authority.publish_crls().done == 1
    assert _ocsp(authority, certificate).certificate_status is ocsp.OCSPCertStatus.REVOKED
    assert _crl(authority, certificate).get_revoked_certificate_by_serial_number(certificate.serial) is not None


def test_INC01_a_crl_that_forgets_a_revocation_is_refused_with_an_alarm(authority: Authority) -> None:
    """The gate compares with what is published: a database that lost a row publishes nothing."""
    certificate = authority.issue(a_request())
    authority.revoke(certificate, Reason.SUPERSEDED, OPERATOR)
    before = _crl(authority, certificate)
    with owning(authority) as thief, thief.transaction():
        thief.change("DELETE FROM revocation WHERE issuer = ?", certificate.issuer)
        thief.change("UPDATE shard SET generation = generation + 1")
    report = authority.publish_crls()
    assert (report.done, report.failed) == (0, 1)
    assert _crl(authority, certificate) == before
    assert b"publication.refused" in authority.store.recent(1)[0].body
