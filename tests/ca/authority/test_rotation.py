"""Rotation of an issuing CA: no request fails, the old one revokes to its end, and a crash anywhere is ended."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from ca import crl
from ca.authority import Authority, rotation
from ca.errors import Conflict, HSMUnavailable, NotFound, SigningRefused
from ca.keys.client import SignerClient
from ca.records import Certificate, Reason, serial_shard
from cli.rotation import finish
from cli.session import Session
from tests.ca.authority.world import OPERATOR, REPOSITORY, World, a_request

pytestmark = pytest.mark.slow

LATER = ("ca", "rotate", "--later", "--yes")
NOW = ("ca", "rotate", "--yes")


def rotate(world: World, *words: str) -> str:
    done = world.run(*(words or NOW), "--root-dir", str(world.place.root_token))
    assert done.returncode == 0, done.stderr
    return done.stdout


def states(authority: Authority) -> dict[str, str]:
    return {one.id: one.state for one in authority.store.issuers() if one.kind == "issuing"}


def newest(authority: Authority) -> str:
    return authority.active_issuer().id


def next_id(authority: Authority) -> str:
    return f"issuing-g{len(states(authority)) + 1}"


def retired_keys(world: World) -> dict[str, str]:
    """That line of the doctor."""
    checks: list[dict[str, str]] = json.loads(world.run("doctor", "--json").stdout)["checks"]
    return next(one for one in checks if one["name"] == "retired keys")


class Asker(threading.Thread):
    """Somebody who wants certificates all the time, and accepts no refusal."""

    def __init__(self, world: World) -> None:
        super().__init__(daemon=True)
        self._world, self._over = world, threading.Event()
        self.issued: list[Certificate] = []
        self.refusals: list[Exception] = []

    def run(self) -> None:
        authority = self._world.open()
        while not self._over.is_set():
            try:
                self.issued.append(authority.issue(a_request()))
            except Exception as refusal:
                self.refusals.append(refusal)
        authority.store.close()

    def stop(self) -> None:
        self._over.set()
        self.join(30)


def test_issuance_goes_over_without_a_refusal_and_the_old_ca_still_revokes(world: World, authority: Authority) -> None:
    before, after = newest(authority), next_id(authority)
    askers = [Asker(world) for _ in range(2)]
    for one in askers:
        one.start()
    said = rotate(world)
    time.sleep(0.5)
    for one in askers:
        one.stop()
    assert not [refusal for one in askers for refusal in one.refusals]
    assert after in said
    assert states(authority) == {**dict.fromkeys(states(authority), "retired"), after: "active"}
    for one in askers:
        assert [cert.issuer for cert in one.issued] == sorted(cert.issuer for cert in one.issued)
        assert {one.issued[0].issuer, one.issued[-1].issuer} == {before, after}

    old = askers[0].issued[0]
    authority.revoke(old, Reason.SUPERSEDED, OPERATOR)
    published = authority.publisher.folder.get(crl.list_path(before, serial_shard(old.serial)))
    assert published is not None
    told = x509.load_der_x509_crl(published.body)
    assert told.get_revoked_certificate_by_serial_number(old.serial) is not None
    retired = x509.load_der_x509_certificate(authority.store.issuer(before).certificate)
    assert told.is_signature_valid(retired.public_key())  # type: ignore[arg-type]
    authority.sequence_journal()
    authority.verify_journal()
    authority.verify_records()


def test_the_signer_lets_the_old_key_sign_crls_alone(world: World, authority: Authority) -> None:
    before = newest(authority)
    rotate(world)
    assert authority.signer.key(before).state == authority.store.key(before).state == "deactivated"
    authority.store.set_issuer_state(before, "active")  # who has the database says so
    authority.store.set_issuer_state(newest(authority), "retired")
    authority.store.open_instead(before, (0,))
    try:
        with pytest.raises(SigningRefused, match="deactivated"):
            authority.issue(a_request())
    finally:
        authority.store.open_instead(before, ())
        authority.store.set_issuer_state(before, "retired")
        authority.store.set_issuer_state(max(states(authority)), "active")
    authority.issue(a_request())


def test_the_new_generation_is_like_the_old_one_and_can_wait(world: World, authority: Authority) -> None:
    before, after = newest(authority), next_id(authority)
    rotate(world, *LATER)
    assert (newest(authority), states(authority)[after]) == (before, "pre-active")
    assert authority.issue(a_request()).issuer == before
    old, new = (x509.load_der_x509_certificate(authority.store.issuer(one).certificate) for one in (before, after))
    for extension in (x509.NameConstraints, x509.BasicConstraints, x509.KeyUsage, x509.CRLDistributionPoints):
        theirs, ours = (one.extensions.get_extension_for_class(extension) for one in (old, new))
        assert theirs == ours, extension
    assert new.subject.rfc4514_string() == f"CN=DEMO – DO NOT TRUST Issuing G{after.rpartition('-g')[2]}"
    assert authority.publisher.folder.get(crl.list_path(after, 0)) is not None, "published before anything names it"
    done = world.run(*NOW)  # the root is not needed any more
    assert done.returncode == 0, done.stderr
    assert newest(authority) == after
    events = [event["action"] for event in authority.export_journal() if event["object"] == f"key:{before}"]
    assert [one for one in events if one != "key.generated"][-2:] == ["key.state-changed", "key.rotated"]


def test_the_own_certificate_goes_over_too(world: World, authority: Authority) -> None:
    """Its old CA may be revoked next."""
    authority.renew_own_certificate()
    assert authority.renew_own_certificate().done == 0
    rotate(world)
    assert authority.renew_own_certificate().done == 1
    own = x509.load_pem_x509_certificate(authority.own_certificate().chain.read_bytes())
    present = x509.load_der_x509_certificate(authority.store.issuer(newest(authority)).certificate)
    own.verify_directly_issued_by(present)
    assert authority.renew_own_certificate().done == 0


def test_a_crash_in_the_middle_of_taking_over_changes_nothing(
    world: World, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = newest(authority), next_id(authority)
    rotate(world, *LATER)
    was = states(authority)
    with monkeypatch.context() as patch:
        patch.setattr(rotation, "_retire", crash)
        with pytest.raises(Crash):
            authority.take_over(after, OPERATOR)
    assert states(authority) == was
    assert authority.issue(a_request()).issuer == before

    with monkeypatch.context() as patch:  # and after it, before the signer was told
        patch.setattr(SignerClient, "deactivate", crash)
        authority.take_over(after, OPERATOR)
        with pytest.raises(Crash):
            rotation.settle(authority)
    assert [key.id for key in rotation.unsettled(authority)] == [before]
    told = retired_keys(world)
    assert (told["level"], before in told["detail"], "certwright ca rotate" in told["next_step"]) == (
        "warn",
        True,
        True,
    )
    assert "finished an earlier rotation" in rotate(world)
    assert rotation.unsettled(authority) == ()
    assert retired_keys(world)["level"] == "ok"
    assert newest(authority) == after, "it went on with the one that had begun, and made no other"
    with pytest.raises(Conflict):
        authority.take_over(after, OPERATOR)
    with pytest.raises(Conflict):
        authority.take_over(before, OPERATOR)


def test_ending_a_rotation_waits_for_what_the_old_generation_has_begun(
    world: World, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = newest(authority), next_id(authority)
    rotate(world, *LATER)
    sign, begun, asker = SignerClient.sign, threading.Event(), Asker(world)

    def slowly(*words: Any, **named: Any) -> bytes:
        if threading.current_thread() is asker and not begun.is_set():
            begun.set()
            time.sleep(4)
        return sign(*words, **named)

    monkeypatch.setattr(SignerClient, "sign", slowly)
    asker.start()
    assert begun.wait(10)
    authority.take_over(after, OPERATOR)
    assert finish(Session(world.place.configuration)) == {"finished": [before]}
    asker.stop()
    assert not asker.refusals
    assert asker.issued[0].issuer == before


class Crash(Exception):
    """A crash of ours."""


def crash(*_: object, **__: object) -> None:
    raise Crash


MOMENTS: tuple[Callable[[Authority, str], bool], ...] = (
    lambda authority, new: new in {key.id for key in iter(authority.signer.keys())},
    lambda authority, new: authority.publisher.folder.get(f"ca/{new}.cer") is not None,
    lambda authority, new: new in states(authority),
    lambda authority, new: newest(authority) == new,
)
"""What is there after each step of a rotation; it is killed as soon as that is seen."""


def test_killed_after_each_step_the_same_command_goes_on(world: World, authority: Authority) -> None:
    before, after = newest(authority), next_id(authority)
    command = [sys.executable, "-m", "cli.main", *NOW, "--root-dir", str(world.place.root_token)]
    command += ["--config", str(world.place.configuration)]
    for seen in MOMENTS:
        running = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while running.poll() is None and not seen(authority, after):
            time.sleep(0.002)
        running.kill()
        running.wait(10)
        assert seen(authority, after)
        assert authority.issue(a_request()).issuer == newest(authority), "somebody issues all the time"
    if rotation.unsettled(authority):
        assert "finished an earlier rotation" in rotate(world)
    assert (states(authority)[before], states(authority)[after]) == ("retired", "active")
    assert len(states(authority)) == int(after.rpartition("-g")[2]), "no generation was made twice, or in vain"
    assert rotation.unsettled(authority) == ()
    assert authority.issue(a_request()).issuer == after
    authority.verify_records()


def test_what_it_needs_and_refuses(world: World, authority: Authority, tmp_path: Path) -> None:
    was = states(authority)

    def refused(code: int, *words: str) -> str:
        done = world.run(*NOW, *words)
        assert done.returncode == code, done.stdout + done.stderr
        assert states(authority) == was
        return done.stderr

    assert "--root-dir" in refused(2)
    assert "no root's token" in refused(3, "--root-dir", str(tmp_path))
    assert "no active issuer" in refused(3, "nobody", "--root-dir", str(world.place.root_token))
    assert "always constrained" in refused(2, "--unconstrained", "--root-dir", str(world.place.root_token))
    planned = world.run("ca", "rotate", "--dry-run", "--json", "--root-dir", str(world.place.root_token))
    assert f'"issuer": "{next_id(authority)}"' in planned.stdout
    with pytest.raises(NotFound):
        rotation.waiting(authority, "issuing")


def test_without_a_signer_nothing_changes(world: World, authority: Authority) -> None:
    before, after = newest(authority), next_id(authority)
    rotate(world, *LATER)
    world.kill_signer()
    try:
        fresh = world.open()
        with pytest.raises(HSMUnavailable):
            fresh.take_over(after, OPERATOR)
        fresh.store.close()
        assert newest(authority) == before
    finally:
        world.start_signer()
    authority.take_over(after, OPERATOR)
    rotation.settle(authority)


def test_a_retired_ca_is_revoked_by_a_later_ceremony(world: World, authority: Authority) -> None:
    before = newest(authority)
    ceremony = ("ca", "ceremony", "--root-dir", str(world.place.root_token), "--revoke", before, "--yes")
    assert world.run(*ceremony).returncode == 2, "with a reason, or not at all"
    told = world.run(*ceremony, "--reason", "cACompromise")
    assert told.returncode == 1
    assert "ca rotate" in told.stderr
    rotate(world)
    world.kill_signer()
    done = world.run(*ceremony, "--reason", "cACompromise")
    world.start_signer()
    assert done.returncode == 0, done.stderr
    assert states(authority)[before] == "revoked"
    published = authority.publisher.folder.get("crl/root-g1/0000.crl")
    assert published is not None
    revoked = x509.load_der_x509_certificate(authority.store.issuer(before).certificate).serial_number
    told_by = x509.load_der_x509_crl(published.body)
    assert told_by.get_revoked_certificate_by_serial_number(revoked) is not None
    assert before not in {one.id for one in authority.serving()}
    assert authority.issue(a_request()).issuer == newest(authority)
    authority.publish_crls()
    authority.renew_responders()
    authority.sequence_journal()
    authority.verify_journal()
    authority.verify_records()
    assert authority.reconcile_ledger().agrees
