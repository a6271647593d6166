"""Publication under fault: what a run could not publish stays due, and one issuer's trouble is not another's."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from ca.authority import Authority
from ca.ocsp import KEPT, answer_path, cert_id
from ca.records import Certificate, Issuer, Reason
from tests.ca.authority.world import OPERATOR, World, a_request, owning

pytestmark = pytest.mark.slow


def _status(authority: Authority, certificate: Certificate) -> ocsp.OCSPCertStatus:
    issuer = x509.load_der_x509_certificate(authority.store.issuer(certificate.issuer).certificate)
    published = authority.publisher.folder.get(answer_path(cert_id(issuer, certificate.serial, "sha1")))
    assert published is not None
    return ocsp.load_der_ocsp_response(published.body).certificate_status


def test_INC02_a_runner_that_was_replaced_clears_no_mark(authority: Authority, world: World) -> None:
    """Its answers are refused for their fence; the revocation must stay due for the runner that holds the lease."""
    certificate = authority.issue(a_request())
    world.clock.ahead = authority.config.ca.ocsp_life
    assert authority.refresh_ocsp(fence=6).done >= 1
    world.kill_signer()
    assert authority.revoke(certificate, Reason.KEY_COMPROMISE, OPERATOR).published_in is None
    world.start_signer()
    authority.refresh_ocsp(fence=5)
    assert _status(authority, certificate) is ocsp.OCSPCertStatus.GOOD
    assert authority.refresh_ocsp(fence=6).done == 1
    assert _status(authority, certificate) is ocsp.OCSPCertStatus.REVOKED


def test_the_answer_of_a_certificate_that_ended_long_ago_is_dropped(authority: Authority, world: World) -> None:
    """What lives is signed again first; the folder judges by the time at which a file was written, too."""
    certificate = authority.issue(a_request())
    assert authority.drop_answers().done == 0
    world.clock.ahead = certificate.not_after - world.clock() + KEPT + 60
    assert authority.drop_answers().done >= 2  # a row and a file
    issuer = x509.load_der_x509_certificate(authority.store.issuer(certificate.issuer).certificate)
    path = answer_path(cert_id(issuer, certificate.serial, "sha1"))
    assert not authority.store.is_published(path)
    assert authority.publisher.folder.get(path) is None
    assert authority.drop_answers().done == 0


def _ended_issuer(now: int) -> Issuer:
    """An issuing CA that came to its end yesterday; the signer knows nothing of its key any more."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Ended CA")])
    end = datetime.datetime.fromtimestamp(now - 86400, datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, end - datetime.timedelta(30), end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Issuer("issuing-g0", "issuing", "issuing", "issuing-g0", certificate.public_bytes(Encoding.DER), "root-g1")


@pytest.fixture
def beside_an_ended_issuer(authority: Authority) -> Authority:
    authority.store.add_issuer(_ended_issuer(authority.clock()))
    return authority


def test_INC03_an_issuer_that_has_ended_stops_no_other(beside_an_ended_issuer: Authority, world: World) -> None:
    """Its shard would be due for ever, its responder cannot be renewed: neither may hold up the issuer of today."""
    authority = beside_an_ended_issuer
    authority.issue(a_request())
    world.clock.ahead = authority.config.ca.crl_life // 2 + 60
    report = authority.publish_crls()
    assert (report.done, report.failed) == (2, 0), "the shard and the list over all"
    authority.renew_responders()
    assert authority.refresh_ocsp().done >= 1


def test_INC01_a_refusal_that_lasts_is_one_entry(authority: Authority, world: World) -> None:
    """The alarm is repeated by the job's report, not by an entry a minute for as long as nobody looks."""
    certificate = authority.issue(a_request())
    authority.revoke(certificate, Reason.SUPERSEDED, OPERATOR)
    with owning(authority) as thief, thief.transaction():
        thief.change("DELETE FROM revocation WHERE issuer = ?", certificate.issuer)
        thief.change("UPDATE shard SET generation = generation + 1 WHERE issuer = ?", certificate.issuer)
    for _ in range(3):
        assert authority.publish_crls().failed == 1
    refused = [row for row in authority.store.recent(20) if row.action == "publication.refused"]
    assert len(refused) == 1
