"""Yesterday's backup restored: real signer and ledger, the database lost, and nothing that was said is taken back.

It comes from SQLite and goes into PostgreSQL: a restore is a move, too.
"""

import io
import json
import re
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509 import ocsp

from ca import crl
from ca.authority import Authority, standing
from ca.authority.tokens import TokenScope, authenticate, create_token
from ca.errors import RevokeOnly
from ca.folder import Folder
from ca.keys import ledger
from ca.ocsp import ALGORITHMS, answer_path, cert_id
from ca.records import Certificate, Reason, RevokeRequest, serial_hex, serial_shard
from cli import main
from tests.ca.authority.world import OPERATOR, World, a_request, small_ca
from tests.conftest import Cluster

pytestmark = pytest.mark.slow


@dataclass
class Lost:
    """What happened before the database was lost: in the backup, and after it."""

    world: World
    backup: Path
    identity: Path
    token: str
    early: Certificate
    late: Certificate
    revoked_early: Certificate
    revoked_late: Certificate
    journal: int
    numbers: dict[str, int]

    def run(self, *words: str) -> dict[str, object]:
        return command(self.world, *words, "--yes")


def command(world: World, *words: str, code: int = 0) -> dict[str, object]:
    """A certwright command, in this process, and what it answers."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        done = main.run([*words, "--json", "--config", str(world.place.configuration)])
    assert done == code, out.getvalue() + err.getvalue()
    return dict(json.loads(out.getvalue() or "{}"))


def sequence(authority: Authority) -> None:
    while authority.sequence_journal().done:
        pass


def crl_numbers(authority: Authority) -> dict[str, int]:
    issuer = authority.active_issuer()
    folder = authority.publisher.folder
    paths = [crl.shard_path(issuer.id, shard) for shard in range(issuer.shards)]
    return {path: found.version for path in paths if (found := folder.get(path))}


def answer_about(authority: Authority, one: Certificate) -> ocsp.OCSPResponse:
    """As relying parties get it: from the folder."""
    issuer = x509.load_der_x509_certificate(authority.store.issuer(one.issuer).certificate)
    found = authority.publisher.folder.get(answer_path(cert_id(issuer, one.serial, next(iter(ALGORITHMS)))))
    assert found is not None
    return ocsp.load_der_ocsp_response(found.body)


def listed(authority: Authority, one: Certificate) -> bool:
    found = authority.publisher.folder.get(crl.shard_path(one.issuer, serial_shard(one.serial)))
    assert found is not None
    return x509.load_der_x509_crl(found.body).get_revoked_certificate_by_serial_number(one.serial) is not None


@pytest.fixture(scope="module")
def lost(postgresql: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lost]:
    folder = tmp_path_factory.mktemp("restore")
    with small_ca(folder / "ca") as world:
        made = live_and_lose(world, folder)
        point_at(world, postgresql.create())
        yield made


def live_and_lose(world: World, folder: Path) -> Lost:
    """Issue, back up, issue more, revoke some, publish; then the records are gone."""
    authority = world.open()
    _, token = create_token(authority, TokenScope("ci", ("server",), ("*.test",)), OPERATOR)
    early, revoked_early = (authority.issue(a_request()) for _ in range(2))
    authority.publish_crls()
    sequence(authority)

    key = command(world, "backup", "key", "--out", str(folder / "key"))
    command(world, "backup", "--out", str(folder / "backup.age"), "--recipient", str(key["recipient"]))

    late, revoked_late = (authority.issue(a_request()) for _ in range(2))
    authority.revoke(revoked_early, Reason.KEY_COMPROMISE, OPERATOR)
    authority.revoke(revoked_late, Reason.SUPERSEDED, OPERATOR)
    authority.refresh_ocsp()
    authority.publish_crls()
    sequence(authority)
    journal, numbers = standing.length(authority), crl_numbers(authority)
    authority.store.close()
    kept = folder / "backup.age", folder / "key"
    return Lost(world, *kept, token, early, late, revoked_early, revoked_late, journal, numbers)


def point_at(world: World, url: str) -> None:
    """The old records are gone; the configuration names an empty database."""
    text = world.place.configuration.read_text()
    world.place.configuration.write_text(re.sub(r'^url = ".*"$', f'url = "{url}"', text, flags=re.MULTILINE))


def test_yesterdays_backup_forgets_nothing(lost: Lost):
    opening = "--identity", str(lost.identity)
    whole = lost.run("restore", str(lost.backup), *opening, "--verify")
    assert whole["whole"]
    assert whole["certificates"] == 2

    found = lost.run("restore", str(lost.backup), *opening)
    assert found["recovered_certificates"] == 2
    assert found["recovered_revocations"] == 2
    assert found["lost_journal_entries"] > 0
    assert found["missing_crls"] == []

    authority = lost.world.open()
    refuses_and_revokes(lost, authority)
    publishes_above(lost, authority)
    authority.store.close()

    again = lost.run("restore", "--recover")
    assert (again["recovered_certificates"], again["lost_journal_entries"]) == (0, 0), "twice is no harm"
    lost.run("restore", "--confirm")
    goes_on(lost, lost.world.open())


def refuses_and_revokes(lost: Lost, authority: Authority) -> None:
    with pytest.raises(RevokeOnly):
        authority.issue(a_request())
    with pytest.raises(RevokeOnly):
        authenticate(authority, lost.token)
    assert not {check.name: check.ok for check in authority.health()}["records"]
    imported = {one.serial for one in authority.store.imported()}
    assert imported == {lost.late.serial, lost.revoked_late.serial}
    assert authority.sweep_intents().done == 0
    known = authority.revoke_serial(
        lost.late.issuer, lost.late.serial, RevokeRequest(Reason.KEY_COMPROMISE, OPERATOR)
    ).revocation
    assert known.not_after == lost.late.not_after, "what is imported can be revoked"


def publishes_above(lost: Lost, authority: Authority) -> None:
    authority.refresh_ocsp()
    authority.publish_crls()
    sequence(authority)
    numbers = crl_numbers(authority)
    assert all(numbers[path] >= number for path, number in lost.numbers.items()), "numbers only rise"
    for one in (lost.late, lost.revoked_early, lost.revoked_late):
        assert answer_about(authority, one).certificate_status is ocsp.OCSPCertStatus.REVOKED
        assert listed(authority, one)
    assert answer_about(authority, lost.early).certificate_status is ocsp.OCSPCertStatus.GOOD
    assert standing.length(authority) > lost.journal, "the journal goes on above what was signed"
    elsewhere = Folder(lost.backup.parent / "elsewhere")
    assert authority.store.after(authority.store.last_seq() - 1 - (1 << 31)), "folders that were fed further get more"
    assert elsewhere.fed == 0


def goes_on(lost: Lost, authority: Authority) -> None:
    one = authority.issue(a_request())
    assert authenticate(authority, lost.token).token.name == "ci"
    authority.revoke(one, Reason.SUPERSEDED, OPERATOR)
    sequence(authority)
    report = authority.verify_journal()
    assert report.lost > 0, "the gap is told, as a known one"
    folder = lost.world.place.path / "state" / "signer" / "ledger"
    found = authority.reconcile(lambda: ledger.read(folder))
    assert found.agrees, found.differences
    assert {finding.mark for finding in found.orphans} >= {serial_hex(lost.revoked_late.serial)}
    authority.store.close()


def test_a_database_that_was_put_back_without_a_word_is_noticed(tmp_path: Path):
    """Somebody copies yesterday's file over today's: the next start says so, and issues nothing."""
    with small_ca(tmp_path / "ca") as world:
        authority = world.open()
        sequence(authority)
        file = Path(authority.config.database_url().removeprefix("sqlite:///"))
        authority.store.close()
        old = file.read_bytes()
        authority = world.open()
        late = authority.issue(a_request())
        sequence(authority)
        authority.store.close()
        for one in file.parent.glob(f"{file.name}-*"):
            one.unlink()
        file.write_bytes(old)

        authority = world.open()
        with pytest.raises(RevokeOnly, match="set back"):
            authority.issue(a_request())
        with pytest.raises(RevokeOnly):
            authority.sequence_journal()
        command(world, "restore", "--confirm", "--yes", code=1)  # not before it was recovered
        assert command(world, "restore", "--recover", "--yes")["recovered_certificates"] == 1
        command(world, "restore", "--confirm", "--yes")
        authority.issue(a_request())
        sequence(authority)
        assert authority.verify_journal().lost > 0
        assert late.serial in {one.serial for one in authority.store.imported()}
        authority.store.close()
