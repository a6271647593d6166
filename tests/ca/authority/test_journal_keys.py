"""The journal's key and its successors: trust goes on from one to the next, and a crash anywhere is ended."""

import json

import pytest

from ca.authority import Authority, journal_keys, responders, rotation, trail
from ca.authority.desk import Desk
from ca.errors import Conflict, SigningRefused
from ca.journal import proof
from ca.keys.checkpoint import Checkpoint
from ca.records import SignKind
from cli import keys
from cli.session import Session
from tests.ca.authority.world import OPERATOR, World, a_request

pytestmark = pytest.mark.slow


def test_whoever_trusts_the_old_key_is_led_to_the_new_one(world: World, authority: Authority) -> None:
    old = trail.journal_key(authority)
    before = authority.issue(a_request())
    authority.sequence_journal()
    done = world.run("key", "rotate", old.id, "--yes", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    new = trail.journal_key(authority)
    assert (said["follows"], said["key"]) == (old.id, new.id) != (new.id, old.id)

    led = proof.verify(authority.prove_event(said["event"]), proof.fingerprint(old.spki))
    assert (led.entry["action"], led.entry["object"]) == ("key.rotated", f"key:{old.id}")
    assert led.entry["detail"] == {"successor": new.id, "spki_sha256": proof.fingerprint(new.spki).hex()}
    assert led.entry["detail"]["spki_sha256"] == said["spki_sha256"]

    after = authority.issue(a_request())
    authority.sequence_journal()
    for one, key in ((before, old), (after, new)):
        proven = proof.verify(authority.prove_issuance(one.serial), proof.fingerprint(key.spki))
        proof.demand_issuance(proven, one.der)
    report = authority.verify_journal()
    assert (report.key_id, report.unsigned) == (new.id, 0)
    assert authority.reconcile_ledger().agrees


def test_the_old_key_signs_no_head_any_more(world: World, authority: Authority) -> None:
    old = trail.journal_key(authority)
    assert world.run("key", "rotate", old.id, "--yes").returncode == 0
    head = Checkpoint("certwright/audit", authority.verify_journal().size + 1, bytes(32)).text()
    with pytest.raises(SigningRefused, match="deactivated"):
        authority.signer.sign(old.id, SignKind.CHECKPOINT, head)
    again = world.run("key", "rotate", old.id, "--yes")
    assert again.returncode == 1
    assert "deactivated" in again.stderr


class Crash(Exception):
    """A crash of ours."""


def crash(*_: object, **__: object) -> None:
    raise Crash


@pytest.mark.parametrize("step", ["_announce", "sequence_journal", "_succeed", "settle"])
def test_after_a_crash_the_same_command_goes_on(
    world: World, authority: Authority, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = trail.journal_key(authority)
    with monkeypatch.context() as patch:
        if step == "settle":
            journal_keys.rotate(authority, old.id, OPERATOR)
        else:
            patch.setattr(trail if step == "sequence_journal" else journal_keys, step, crash)
            with pytest.raises(Crash):
                journal_keys.rotate(authority, old.id, OPERATOR)
    authority.sequence_journal()
    authority.verify_journal()
    assert (trail.journal_key(authority).id == old.id) is (step != "settle")
    done = world.run("key", "rotate", old.id, "--yes")
    assert done.returncode == 0, done.stderr
    new = trail.journal_key(authority)
    assert int(new.id.rpartition("-g")[2]) == int(old.id.rpartition("-g")[2]) + 1, "one successor, and no other"
    assert rotation.unsettled(authority) == ()
    told = [event for event in authority.export_journal() if event["action"] == "key.rotated"]
    assert [event["object"] for event in told].count(f"key:{old.id}") == 1
    authority.verify_journal()


def test_two_who_rotate_the_same_key_make_one_successor(world: World, authority: Authority) -> None:
    """The second one, asked before the first one was done, must not rotate the successor."""
    old = trail.journal_key(authority)
    second = keys.way(authority, old.id)
    assert world.run("key", "rotate", old.id, "--yes").returncode == 0
    new = trail.journal_key(authority)
    session = Session(world.place.configuration)
    with pytest.raises(Conflict, match=new.id):
        second(session, authority)
    assert trail.journal_key(authority).id == new.id


def test_one_who_was_overtaken_between_his_steps_changes_nothing(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, prove = trail.journal_key(authority), trail.prove_event

    def overtaken(desk: Desk, event: int) -> proof.Proof:
        monkeypatch.setattr(trail, "prove_event", prove)
        journal_keys.rotate(authority, old.id, OPERATOR)
        return prove(desk, event)

    monkeypatch.setattr(trail, "prove_event", overtaken)
    with pytest.raises(Conflict, match="successor already"):
        journal_keys.rotate(authority, old.id, OPERATOR)
    rotation.settle(authority)
    moved = [event for event in authority.export_journal() if event["action"] == "key.state-changed"]
    new = trail.journal_key(authority).id
    assert [event["object"] for event in moved].count(f"key:{new}") == 1


def test_which_keys_go_another_way(world: World, authority: Authority) -> None:
    for key, code, words in (
        ("issuing-g1", 2, "ca rotate"),
        ("root-g1", 2, "new root"),
        ("issuing-g1-ocsp-1", 1, "of today"),
        ("nothing", 3, "no key"),
    ):
        done = world.run("key", "rotate", key, "--yes")
        assert done.returncode == code, done.stderr
        assert words in done.stderr


def test_a_responder_gets_its_successor_out_of_turn(world: World, authority: Authority) -> None:
    [issuer] = authority.serving()
    old = authority.responder(issuer.id).key_id
    world.clock.ahead = 2 * 86400
    made = responders.renew(authority, issuer).key_id
    world.clock.ahead = 0
    assert made != old
    assert authority.responder(issuer.id).key_id == made
    told = world.run("key", "rotate", old, "--yes")
    assert told.returncode == 2
    assert "has a successor already" in told.stderr
