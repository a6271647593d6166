"""Disks that are full or fail, one place after the other: what was told stands, nothing is half done, all heals."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography import x509

from acme_server.nonces import Nonces
from ca.authority import Authority
from ca.authority.report import Check
from ca.clock import system_clock
from ca.errors import CAError, ConfigError, LedgerBroken, StoreUnavailable
from ca.ocsp import answer_path, cert_id
from ca.records import Certificate, Reason
from tests.ca.authority.world import OPERATOR, REPOSITORY, World, a_request, small_ca
from tests.faults.disks import Fsync, failing_fsync, full, small_disk

pytestmark = pytest.mark.slow

DATABASE, LEDGER, PUBLIC = "state/db", "state/signer", "state/public"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A CA with a small disk for each of the places that it writes to."""
    folder = tmp_path_factory.mktemp("disks") / "ca"
    with ExitStack() as disks:
        folder.mkdir()
        (folder / "demo.pid").touch()
        for place in (DATABASE, LEDGER, PUBLIC):
            disks.enter_context(small_disk(folder / place))
        with small_ca(folder, f"sqlite:///{folder}/{DATABASE}/certwright.sqlite") as made:
            yield made


def ailing(authority: Authority) -> dict[str, Check]:
    """The health checks that fail now, whatever was found some seconds ago."""
    authority.store.pulse.forget()
    return {check.name: check for check in authority.health() if not check.ok}


def status(authority: Authority, certificate: Certificate) -> bool:
    """Whether an OCSP answer lies in the publication folder."""
    issuer = authority.store.issuer(certificate.issuer).certificate
    path = answer_path(cert_id(x509.load_der_x509_certificate(issuer), certificate.serial, "sha1"))
    return authority.publisher.folder.get(path) is not None


def whole(authority: Authority) -> None:
    """Nothing is half done, in the records or between them and the ledger."""
    assert authority.store.rows("PRAGMA integrity_check") == [("ok",)]
    halves = (
        "SELECT i.serial FROM intent i LEFT JOIN certificate c ON c.serial = i.serial "
        "WHERE (i.state = 'issued') <> (c.serial IS NOT NULL)"
    )
    assert authority.store.rows(halves) == []


def refused(action: Callable[[], object], kind: type[CAError], times: int = 2000) -> CAError:
    """The first refusal: a file that was emptied has some room left, and what still fits is done."""
    for _ in range(times):
        try:
            action()
        except kind as error:
            return error
    raise AssertionError("the disk is not full")


def test_a_full_disk_of_the_database(authority: Authority, world: World) -> None:
    before = authority.issue(a_request())
    with full(world.place.path / DATABASE):
        error = refused(lambda: authority.issue(a_request()), StoreUnavailable)
        assert "full" in error.detail
        assert error.next_step
        assert "full" in ailing(authority)["database"].detail
        assert authority.certificate(before.serial) == before
        with pytest.raises(StoreUnavailable, match="full"):
            authority.revoke(before, Reason.SUPERSEDED, OPERATOR)
    whole(authority)
    assert "database" not in ailing(authority)
    assert authority.revoke(before, Reason.SUPERSEDED, OPERATOR).published_in is not None
    authority.issue(a_request())


def test_a_full_disk_of_the_ledger_lets_no_signature_out_and_heals_without_a_restart(
    authority: Authority, world: World
) -> None:
    with full(world.place.path / LEDGER):
        for _ in range(2):
            assert refused(lambda: authority.issue(a_request()), LedgerBroken).next_step
            assert "ledger" in ailing(authority)["signer"].detail
    assert "signer" not in ailing(authority)
    assert authority.certificate(authority.issue(a_request()).serial)
    whole(authority)


def test_a_full_disk_of_the_publication_folder_is_fed_when_there_is_room(authority: Authority, world: World) -> None:
    with full(world.place.path / PUBLIC):
        certificate = authority.issue(a_request())
        assert not status(authority, certificate)
        assert "publication" in ailing(authority)
        assert authority.revoke(certificate, Reason.SUPERSEDED, OPERATOR).published_in is None
    assert "publication" not in ailing(authority)
    authority.feed_publications()
    assert status(authority, certificate)


def test_a_full_disk_of_the_nonces_costs_nothing_once_they_have_their_blocks(tmp_path: Path) -> None:
    """They lie in mapped memory: a block that is not there would end the process by SIGBUS."""
    with small_disk(tmp_path / "small", 1):
        nonces = Nonces(tmp_path / "small", 3600, system_clock)
        with full(tmp_path / "small"):
            for _ in range(50_000 // 8):
                nonces.redeem(nonces.make())
        nonces.close()
    with (
        small_disk(tmp_path / "none", 1),
        full(tmp_path / "none"),
        pytest.raises(ConfigError, match="cannot be used: No space left"),
    ):
        Nonces(tmp_path / "none", 3600, system_clock)


# --- fsync --------------------------------------------------------------------------------------

# Issues until told to end, and says what became of each.
ISSUE = """
import sys
from tests.ca.authority.world import a_request
from ca import config
from ca.authority import open_authority
from ca.errors import CAError

authority = open_authority(config.load(sys.argv[1]))
for _ in sys.stdin:
    try:
        said = f"{authority.issue(a_request()).serial:x}"
    except CAError as error:
        said = error.code
    print(said, flush=True)
"""


@pytest.fixture
def fsync(tmp_path: Path) -> Fsync:
    return failing_fsync(tmp_path)


def test_a_database_whose_fsync_fails_confirms_nothing(authority: Authority, world: World, fsync: Fsync) -> None:
    command = [sys.executable, "-c", ISSUE, str(world.place.configuration)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = {**os.environ, **fsync.environment}
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment, **pipes) as worker:  # type: ignore[call-overload]

        def issue() -> str:
            worker.stdin.write("\n")
            worker.stdin.flush()
            return str(worker.stdout.readline().strip())

        first = int(issue(), 16)
        with fsync.failing("certwright.sqlite"):
            assert {issue() for _ in range(3)} == {"store-unavailable"}
        second = int(issue(), 16)
        worker.kill()  # what it had not confirmed may stand or not: recovery decides
    whole(authority)
    assert authority.certificate(first)
    assert authority.certificate(second)
    world.clock.ahead = 2 * authority.config.ca.intent_timeout
    authority.sweep_intents()
    assert authority.store.open_intents(authority.clock() + 1) == ()
    assert json.loads(world.run("audit", "reconcile", "--json").stdout)["differences"] == []
