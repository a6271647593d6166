"""Reconciliation: honest work agrees, crashes leave listed orphans, and every stolen signature is named."""

import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from ca import crl
from ca.authority import Authority, watch
from ca.authority.reconcile import Finding, Reconciliation
from ca.errors import PossiblySigned, RevokeOnly
from ca.keys import ledger
from ca.keys.checkpoint import Checkpoint
from ca.keys.ledger import Entry
from ca.records import Certificate, Reason, SignKind, serial_hex
from scheduler import metrics
from scheduler.run import Runner
from scheduler.timetable import TIMETABLE
from tests.ca.authority.thief import Thief
from tests.ca.authority.world import OPERATOR, World, a_request

pytestmark = pytest.mark.slow


NAME = x509.DNSName("stolen.test")


def folder(authority: Authority) -> Path:
    return authority.config.path(authority.config.signer.state_dir) / "ledger"


def reconciled(authority: Authority) -> Reconciliation:
    return authority.reconcile(lambda: ledger.read(folder(authority)))


def settle(authority: Authority) -> None:
    authority.publish_crls()
    while authority.sequence_journal().done:
        pass


@pytest.fixture
def thief(authority: Authority) -> Thief:
    return Thief(authority.signer, authority.active_issuer())


def test_honest_work_agrees(authority: Authority) -> None:
    before = reconciled(authority)
    made = [authority.issue(a_request()) for _ in range(3)]
    authority.revoke(made[0], Reason.SUPERSEDED, OPERATOR)
    settle(authority)
    found = reconciled(authority)
    assert found.agrees, found.differences
    assert found.matched == before.matched + 3
    assert found.under_way == 0
    assert found.unpublished == ()
    assert found.signed["crl"] > before.signed["crl"]
    assert found.signed["responder"] == 1


def test_a_crl_that_was_signed_and_never_came_out_is_told_apart(authority: Authority, thief: Thief) -> None:
    """After a crash it says what the records say; a thief's leaves out what was revoked, or makes it up."""
    certificate = authority.issue(a_request())
    time.sleep(1.1)
    authority.revoke(certificate, Reason.KEY_COMPROMISE, OPERATOR)
    time.sleep(1.1)
    url = crl.shard_url(authority.config.server.status_url, thief.issuer.id, 0)
    revoked = [one.serial for one in authority.store.revoked(thief.issuer.id, 0, not_after_from=0)]

    def signed(*serials: int) -> Reconciliation:
        number = authority.store.number_crl(thief.issuer.id, 0, authority.clock()).number
        thief.sign(SignKind.CRL, thief.crl(number, *serials, url=url))
        return reconciled(authority)

    crashed = signed(*revoked)
    assert crashed.agrees
    assert [one.kind for one in crashed.unpublished] == ["crl"]
    for serials in ([], [*revoked, 77]):
        found = signed(*serials)
        assert "never published" in found.differences[-1].why


# --- from here on the ledger of this module differs, and each test looks at what is new -----------


@pytest.fixture
def new(authority: Authority) -> list[Finding]:
    """Filled by the test's end: differences that there were not before."""
    before = set(reconciled(authority).differences)

    class New(list[Finding]):
        def __iter__(self) -> Iterator[Finding]:
            return iter([one for one in reconciled(authority).differences if one not in before])

    return New()


def test_INC05_an_orphan_is_listed_once_it_is_swept(authority: Authority, world: World, new: list[Finding]) -> None:
    def crash(_: Certificate) -> None:
        raise PossiblySigned("the database was gone")

    with pytest.raises(PossiblySigned):
        authority.issue(a_request("orphan.test"), after=crash)
    (intent,) = authority.store.open_intents(authority.clock() + 1)
    assert reconciled(authority).under_way == 1
    world.clock.ahead = 2 * authority.config.ca.intent_timeout
    assert authority.sweep_intents().done == 1
    found = reconciled(authority)
    assert list(new) == []
    assert serial_hex(intent.serial) in {one.mark for one in found.orphans}


def test_a_stolen_certificate_is_named(authority: Authority, thief: Thief, new: list[Finding]) -> None:
    thief.sign(SignKind.CERTIFICATE, thief.certificate(NAME))
    (found,) = new
    assert (found.kind, found.key, found.why) == ("certificate", "issuing-g1", "nobody intended it")
    assert found.counter > 0


def test_a_serial_that_was_stolen_from_an_intent_is_named(
    authority: Authority, thief: Thief, new: list[Finding]
) -> None:
    def stolen(intent: object) -> None:
        thief.sign(SignKind.CERTIFICATE, thief.certificate(NAME, serial=intent.serial))  # type: ignore[attr-defined]

    # The signer then refuses the honest one: a serial is signed once.
    with pytest.raises(Exception, match="already"):
        authority.issue(a_request(), within=stolen)
    assert "another certificate was intended" in next(iter(new)).why or "nobody intended" in next(iter(new)).why


def test_a_withdrawn_intent_with_a_signature_is_named(authority: Authority, new: list[Finding]) -> None:
    def crash(_: Certificate) -> None:
        raise PossiblySigned("gone")

    with pytest.raises(PossiblySigned):
        authority.issue(a_request(), after=crash)
    (intent,) = authority.store.open_intents(authority.clock() + 1)
    authority.store.withdraw(intent.id)
    (found,) = new
    assert "withdrawn" in found.why


def test_records_without_a_signature_are_named(authority: Authority, new: list[Finding], tmp_path: Path) -> None:
    shutil.copytree(folder(authority), tmp_path / "ledger")
    certificate = authority.issue(a_request())
    authority.revoke(certificate, Reason.SUPERSEDED, OPERATOR)
    assert list(new) == []
    older = authority.reconcile(lambda: ledger.read(tmp_path / "ledger"))
    whys = {(one.kind, one.counter, one.why) for one in older.differences}
    assert ("certificate", 0, "it was issued and does not stand in the ledger") in whys
    assert ("crl", 0, "it is published and not in the ledger") in whys


def test_an_entry_of_an_unknown_kind_is_a_difference(authority: Authority) -> None:
    strange = Entry(1, 0, "issuing-g1", "poem", 0, bytes(32))
    found = authority.reconcile(lambda: [strange])
    assert "does not know the kind" in found.differences[0].why


def test_what_is_issued_while_it_compares_is_no_difference(authority: Authority, new: list[Finding]) -> None:
    def entries() -> Iterator[Entry]:
        authority.issue(a_request())  # after the records were read
        yield from ledger.read(folder(authority))

    before = {one.mark for one in reconciled(authority).differences}
    assert {one.mark for one in authority.reconcile(entries).differences} <= before


def test_a_database_that_was_set_back_is_noticed(
    authority: Authority, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificates since the backup are gone from the records, and not from the ledger."""
    if not authority.config.database_url().startswith("sqlite"):
        pytest.skip("a backup of a file, to be opened beside it")
    kept = authority.issue(a_request())
    source = sqlite3.connect(authority.config.database_url().removeprefix("sqlite:///"))
    with source, sqlite3.connect(tmp_path / "backup.sqlite") as backup:
        source.backup(backup)
    lost = authority.issue(a_request())
    monkeypatch.setenv("CERTWRIGHT_DATABASE__URL", f"sqlite:///{tmp_path / 'backup.sqlite'}")
    restored = world.open()
    found = {one.mark: one.why for one in reconciled(restored).differences}
    restored.store.close()
    assert found[serial_hex(lost.serial)] == "nobody intended it"
    assert serial_hex(kept.serial) not in found


def test_the_commands(authority: Authority, world: World, tmp_path: Path) -> None:
    time.sleep(1.5)  # the OCSP answers of the last test are counted
    whole = world.run("audit", "ledger", "verify", "--json")
    assert whole.returncode == 0, whole.stderr
    exported = world.run("audit", "ledger", "export")
    lines = exported.stdout.splitlines()
    assert json.loads(whole.stdout)["entries"] == len(lines)
    assert json.loads(lines[0])["counter"] == 1
    (tmp_path / "export").write_text(exported.stdout)
    found = [world.run("audit", "reconcile", "--json", *more) for more in ((), ("--export", str(tmp_path / "export")))]
    assert [one.returncode for one in found] == [1, 1]  # the thefts of the tests above
    assert json.loads(found[0].stdout) == json.loads(found[1].stdout)
    assert "nobody intended it" in world.run("audit", "reconcile").stdout
    (tmp_path / "export").write_text("\n".join([*lines[:3], *lines[4:]]))
    cut = world.run("audit", "reconcile", "--export", str(tmp_path / "export"))
    assert cut.returncode == 1
    assert "entry 5 where 4 is due" in cut.stderr


def test_a_damaged_ledger_is_named_by_the_command(authority: Authority, world: World, tmp_path: Path) -> None:
    shutil.copytree(folder(authority), tmp_path / "ledger")
    path = ledger.segment_path(tmp_path / "ledger", 1)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    done = world.run("audit", "ledger", "verify", "--folder", str(tmp_path / "ledger"))
    assert done.returncode == 1
    assert f"{path.name} is damaged at octet" in done.stderr


# --- as a job of the scheduler, which asks the signer for the ledger -----------------------------


class Held:
    """A lease that this node holds."""

    def fence(self) -> int:
        return 1


RECONCILE = next(job for job in TIMETABLE if job.name == watch.JOB)


def test_the_signer_shows_the_ledger_that_lies_on_its_disk(authority: Authority) -> None:
    authority.issue(a_request())
    assert list(authority.signer.ledger()) == list(ledger.read(folder(authority)))


def test_a_theft_raises_an_alarm_by_itself_and_once(authority: Authority, thief: Thief) -> None:
    def alarms() -> list[int]:
        events = [one for one in authority.export_journal() if one["action"] == "ledger.differed"]
        return [one["detail"]["differences"] for one in events]  # type: ignore[index]

    runner, before = Runner(authority, Held()), len(alarms())  # type: ignore[arg-type]
    thief.sign(SignKind.CERTIFICATE, thief.certificate(NAME))
    for _ in range(2):
        runner.run(RECONCILE)
    last = authority.store.last_run(watch.JOB)
    assert not last.ok
    assert "differences between ledger and records" in last.detail  # the first that it names may be of a test above
    assert len(alarms()) == before + 1
    thief.sign(SignKind.CERTIFICATE, thief.certificate(NAME))
    runner.run(RECONCILE)
    assert len(alarms()) == before + 2
    assert alarms()[-1] == alarms()[-2] + 1
    assert metrics.DIFFERENCES._value.get() == alarms()[-1]


def test_a_head_that_the_journal_never_had_is_named_and_stops_the_issuing(
    world: World, authority: Authority, new: list[Finding]
) -> None:
    settle(authority)
    head = authority.store.last_head()
    forged = Checkpoint(head.origin, head.size + 1, bytes(32))
    authority.signer.sign("journal-g1", SignKind.CHECKPOINT, forged.text())
    (found,) = new
    assert "never had this head" in found.why
    with pytest.raises(RevokeOnly, match="set back"):  # for all that is known the records are behind
        world.open().issue(a_request())
