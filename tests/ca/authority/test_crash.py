"""kill -9 between the token's signature and the database: the serial is found, listed, revoked, and answered."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.x509 import ocsp

from ca import crl
from ca.authority import Authority
from ca.errors import NotFound, StoreUnavailable
from ca.keys import ledger
from ca.ocsp import answer_path, cert_id
from ca.records import Intent, SignKind
from ca.store import Store
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


# Issues as many certificates as it is told, each in a child that dies when the signature has come back.
DIE_AFTER_THE_SIGNATURE = """
import os, signal, sys
from tests.ca.authority.world import a_request
from ca import config
from ca.authority import open_authority, issue

authority = open_authority(config.load(sys.argv[1]))
issue._certificate = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
for number in range(int(sys.argv[2])):
    child = os.fork()
    if not child:
        authority.issue(a_request(f"crash-{number}.test"))
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
"""


def test_INC05_fifty_of_fifty_kills_are_listed_revoked_and_answered(authority: Authority, world: World) -> None:
    command = [sys.executable, "-c", DIE_AFTER_THE_SIGNATURE, str(world.place.configuration), "50"]
    died = subprocess.run(command, cwd=REPOSITORY, capture_output=True, timeout=60)
    assert died.returncode == 0, died.stderr.decode()
    lost = {one.serial for one in authority.store.open_intents(authority.clock() + 1)}
    assert len(lost) == 50
    assert lost <= _signed(authority)
    world.clock.ahead = 2 * authority.config.ca.intent_timeout
    assert authority.sweep_intents().done == 50
    authority.refresh_ocsp()
    authority.publish_crls()
    assert lost <= {int(one["serial"], 16) for one in json.loads(world.run("cert", "orphans", "--json").stdout)}
    assert lost <= _on_crls(authority)
    for orphan in (one for one in authority.store.orphans() if one.serial in lost):
        assert _status(authority, orphan) is ocsp.OCSPCertStatus.REVOKED
    while authority.sequence_journal().done:
        pass
    found = json.loads(world.run("audit", "reconcile", "--json").stdout)
    assert found["differences"] == []
    assert lost <= {int(one["mark"], 16) for one in found["orphans"]}


def _signed(authority: Authority) -> set[int]:
    """The serials that the signer's ledger knows."""
    folder = authority.config.path(authority.config.signer.state_dir) / "ledger"
    return {int(one.mark, 16) for one in ledger.read(folder) if one.kind == SignKind.CERTIFICATE}


def _on_crls(authority: Authority) -> set[int]:
    issuer = authority.active_issuer()
    shards = [authority.publisher.folder.get(crl.shard_path(issuer.id, shard)) for shard in range(issuer.shards)]
    return {one.serial_number for shard in shards if shard for one in x509.load_der_x509_crl(shard.body)}


# --- stopped, and going on later ----------------------------------------------------------------

# Stops itself at the named moment, as a swapped out or frozen worker does, and says what became of its issuance.
STOP = """
import os, signal, sys
from tests.ca.authority.world import a_request
from ca import config
from ca.authority import open_authority, issue
from ca.errors import CAError

authority, moment = open_authority(config.load(sys.argv[1])), sys.argv[2]
certify = issue._certificate

def stop(*asked):
    os.kill(os.getpid(), signal.SIGSTOP)
    return certify(*asked) if moment == "before B" else None

if moment == "before B":
    issue._certificate = stop
try:
    authority.issue(a_request("stopped.test"), after=stop if moment == "inside B" else issue.nothing)
except CAError as error:
    print(error.code)
else:
    print("issued")
"""


@contextmanager
def _stopped(world: World, moment: str) -> Iterator[list[str]]:
    """A worker stands still at that moment while the body runs; then it goes on, and what it says is added."""
    said: list[str] = []
    command = [sys.executable, "-c", STOP, str(world.place.configuration), moment]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as worker:
        assert os.WIFSTOPPED(os.waitpid(worker.pid, os.WUNTRACED)[1])
        try:
            yield said
        finally:
            worker.send_signal(signal.SIGCONT)
            said.append(worker.communicate(timeout=30)[0].strip())


def test_a_worker_that_was_stopped_for_too_long_loses_to_the_sweep(authority: Authority, world: World) -> None:
    with _stopped(world, "before B") as said:
        (intent,) = authority.store.open_intents(authority.clock() + 1)
        world.clock.ahead = 2 * authority.config.ca.intent_timeout
        assert authority.sweep_intents().done == 1
    assert said == ["abandoned"]
    with pytest.raises(NotFound):
        authority.certificate(intent.serial)
    authority.refresh_ocsp()
    assert _status(authority, intent) is ocsp.OCSPCertStatus.REVOKED


def test_a_worker_that_was_stopped_inside_its_last_transaction_wins(authority: Authority, world: World) -> None:
    """It holds the intent: the sweep waits, is told that the database is busy, and finds nothing to do later."""
    impatient = replace(authority, store=Store.open(authority.config.database_url(), timeout=1))
    with _stopped(world, "inside B") as said:
        (intent,) = impatient.store.open_intents(authority.clock() + 1)
        world.clock.ahead = 2 * authority.config.ca.intent_timeout
        with pytest.raises(StoreUnavailable, match="busy"):
            impatient.sweep_intents()
    assert said == ["issued"]
    impatient.store.close()
    assert authority.sweep_intents().done == 0
    assert authority.certificate(intent.serial)
    authority.refresh_ocsp()
    assert _status(authority, intent) is ocsp.OCSPCertStatus.GOOD
