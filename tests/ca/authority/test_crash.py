"""kill -9 between the token's signature and the database: the serial is found, listed, revoked, and answered."""

import signal
import subprocess
import sys

import pytest
from cryptography import x509
from cryptography.x509 import ocsp

from ca.authority import Authority
from ca.ocsp import answer_path, cert_id
from ca.records import Intent
from tests.ca.authority.world import REPOSITORY, World

pytestmark = pytest.mark.slow


# Issues one certificate and dies at the named moment of the cycle, by a signal that nothing can catch.
DIE = """
import os, signal, sys
from tests.ca.authority.world import a_request
from ca import config
from ca.authority import open_authority, issue

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

authority = open_authority(config.load(sys.argv[1]))
moment = sys.argv[2]
if moment == "after the intent":
    issue._sign = die
elif moment == "after the signature":
    issue._certificate = die
authority.issue(
    a_request("crash.test"),
    within=die if moment == "before the intent" else issue.nothing,
    after=die if moment == "before the commit" else issue.nothing,
)
"""
LEAVES_AN_INTENT = {
    "before the intent": False,
    "after the intent": True,
    "after the signature": True,
    "before the commit": True,
}


def _die(world: World, moment: str) -> None:
    command = [sys.executable, "-c", DIE, str(world.place.configuration), moment]
    died = subprocess.run(command, cwd=REPOSITORY, capture_output=True, timeout=30)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()


@pytest.mark.parametrize("moment", LEAVES_AN_INTENT)
def test_INC05_an_orphan_is_revoked_and_never_signed_again(authority: Authority, world: World, moment: str) -> None:
    _die(world, moment)
    open_intents = authority.store.open_intents(authority.clock() + 1)
    assert len(open_intents) == LEAVES_AN_INTENT[moment]
    world.clock.ahead = 2 * authority.config.ca.intent_timeout
    assert authority.sweep_intents().done == len(open_intents)
    authority.refresh_ocsp()
    for orphan in open_intents:
        assert orphan.serial in {one.serial for one in authority.store.orphans()}
        assert _status(authority, orphan) is ocsp.OCSPCertStatus.REVOKED
    while authority.sequence_journal().done:
        pass
    authority.verify_journal()


def _status(authority: Authority, orphan: Intent) -> ocsp.OCSPCertStatus:
    issuer = x509.load_der_x509_certificate(authority.store.issuer(orphan.issuer).certificate)
    published = authority.publisher.folder.get(answer_path(cert_id(issuer, orphan.serial, "sha1")))
    assert published is not None
    return ocsp.load_der_ocsp_response(published.body).certificate_status


def test_an_abandoned_intent_is_listed_by_the_command_line(world: World) -> None:
    listed = world.run("cert", "orphans", "--json")
    assert listed.returncode == 0, listed.stderr
    assert "abandoned" in listed.stdout
