"""What the scheduler's jobs do at the desk: responders, answers, health, the folder."""

import shutil
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509 import ocsp
from structlog.testing import capture_logs

from ca.authority import Authority, open_authority
from ca.authority.health import CHECKS
from ca.errors import StalePublication
from ca.ocsp import answer_path, cert_id
from ca.records import Certificate, Publication, Reason
from tests.ca.authority.world import OPERATOR, LiveClock, World, a_request

pytestmark = pytest.mark.slow


def _path(authority: Authority, certificate: Certificate) -> str:
    issuer = x509.load_der_x509_certificate(authority.store.issuer(certificate.issuer).certificate)
    return answer_path(cert_id(issuer, certificate.serial, "sha1"))


def _published(authority: Authority, certificate: Certificate) -> Publication:
    found = authority.publisher.folder.get(_path(authority, certificate))
    assert found is not None
    return found


def test_answers_are_signed_again_at_half_of_their_life(authority: Authority, world: World) -> None:
    certificate = authority.issue(a_request())
    first = _published(authority, certificate)
    assert first.fresh_until - first.this_update == authority.config.ca.ocsp_life
    world.clock.ahead = authority.config.ca.ocsp_life // 2 + 1
    assert authority.refresh_ocsp().done >= 1
    second = _published(authority, certificate)
    assert second.this_update > first.this_update
    assert authority.refresh_ocsp().done == 0


def test_INC02_an_answer_that_was_made_before_a_revocation_never_replaces_it(authority: Authority) -> None:
    certificate = authority.issue(a_request())
    good = authority.publisher.get(_path(authority, certificate))
    authority.revoke(certificate, Reason.KEY_COMPROMISE, OPERATOR)
    late = Publication(good.path, good.body, good.version + 3600, good.content_type, good.this_update + 3600)
    with pytest.raises(StalePublication):
        authority.publisher.put(late)
    answer = ocsp.load_der_ocsp_response(_published(authority, certificate).body)
    assert answer.certificate_status is ocsp.OCSPCertStatus.REVOKED


def test_O05_a_responder_is_asked_for_at_half_of_its_life(authority: Authority, tmp_path: Path) -> None:
    """The signer makes at most one a day by its own clock: asked too early it answers with the same one."""
    before = authority.store.responder("issuing-g1")
    assert authority.renew_responders().done == 0
    clock = LiveClock(tmp_path / "clock")
    clock.ahead = (before.not_after - before.not_before) // 2 + 60
    fast = open_authority(authority.config, clock)
    assert fast.renew_responders().done == 0
    assert fast.store.responder("issuing-g1") == before
    fast.store.close()


def test_a_lost_folder_is_filled_again_from_the_rows(authority: Authority) -> None:
    certificate = authority.issue(a_request())
    shutil.rmtree(authority.config.path(authority.config.ca.publication_dir))
    assert authority.feed_publications().done > 0
    assert _published(authority, certificate).body == authority.publisher.get(_path(authority, certificate)).body


def test_health_names_what_is_missing_and_the_next_step(authority: Authority, world: World) -> None:
    authority.publish_crls()
    assert {check.name: check.ok for check in authority.health()} == dict.fromkeys(CHECKS, True)
    world.kill_signer()
    failed = [check for check in authority.health() if not check.ok]
    assert [check.name for check in failed] == ["signer"]
    assert failed[0].next_step
    world.start_signer()
    world.clock.ahead = 2 * authority.config.ca.crl_life
    assert "crl" in {check.name for check in authority.health() if not check.ok}


def test_a_start_warns_of_a_database_that_may_lose_what_it_confirmed(authority: Authority) -> None:
    """The tests' PostgreSQL runs without fsync, and SQLite with it."""
    with capture_logs() as said:
        authority.record_start("test")
    on_postgresql = authority.config.database.url.startswith("postgresql")
    assert [one["why"] for one in said if one["event"] == "database.weak"] == ["fsync is off"] * on_postgresql
