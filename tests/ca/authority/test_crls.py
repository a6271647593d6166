"""CRLs as they are published: shards, deltas, the list over all, and what happens after records were set back."""

import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from ca import crl
from ca.authority.adopt import published_crls
from ca.errors import AlreadyRevoked, BadRequest, HSMUnavailable
from ca.records import SYSTEM, Reason, Revocation, SignKind, serial_shard
from tests.ca.authority.fast import ISSUER, FastWorld, number
from tests.ca.authority.world import OPERATOR

DAY = 86400

pytestmark = pytest.mark.slow


def test_only_what_is_due_is_signed(make: Callable[..., FastWorld]) -> None:
    """Four shards and the list over all; then a revocation signs one shard, and nothing is signed without need."""
    world = make()
    assert world.authority.publish_crls().done == 5
    assert world.authority.publish_crls().done == 0
    certificate = world.issue()
    before = {shard: number(world.crl(shard)) for shard in range(4)}
    world.authority.revoke(certificate, Reason.SUPERSEDED, OPERATOR)
    own = serial_shard(certificate.serial)
    assert [shard for shard in range(4) if number(world.crl(shard)) != before[shard]] == [own]
    assert world.entries(own) == {certificate.serial: "superseded"}


def test_the_full_list_is_made_by_schedule(make: Callable[..., FastWorld]) -> None:
    """For clients without support for distribution points: no scope, all shards, once a day."""
    world = make()
    revoked = [world.issue() for _ in range(3)]
    for certificate in revoked:
        world.authority.revoke(certificate, Reason.SUPERSEDED, OPERATOR)
    world.authority.publish_crls()
    assert set(world.entries(crl.FULL)) == {one.serial for one in revoked}
    with pytest.raises(x509.ExtensionNotFound):
        world.crl(crl.FULL).extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    late = world.issue()
    world.authority.revoke(late, Reason.SUPERSEDED, OPERATOR)
    world.clock.now += DAY // 2
    world.authority.publish_crls()
    assert late.serial not in world.entries(crl.FULL)
    world.clock.now += DAY // 2
    world.authority.publish_crls()
    assert late.serial in world.entries(crl.FULL)


def test_there_is_no_full_list_where_none_is_wanted(make: Callable[..., FastWorld]) -> None:
    world = make(full_crl_every=0)
    assert world.authority.publish_crls().done == 4
    assert world.authority.publisher.folder.get(crl.full_path(ISSUER)) is None


def test_l08_a_delta_adds_to_its_base(make: Callable[..., FastWorld]) -> None:
    """Same scope, number and times as the complete CRL beside it; only what came since the base; a life of its own."""
    world = make(delta_crl_life=DAY, full_crl_every=0)
    first, second = (world.issue() for _ in range(2))
    shard = serial_shard(first.serial)
    while serial_shard(second.serial) != shard:
        second = world.issue()
    world.authority.revoke(first, Reason.SUPERSEDED, OPERATOR)
    base = number(world.crl(shard))
    path = crl.delta_path(ISSUER, shard)
    assert world.authority.publisher.folder.get(path) is None, "there is nothing yet to add to"
    world.authority.revoke(second, Reason.KEY_COMPROMISE, OPERATOR)
    complete, delta = world.crl(shard), world.crl(path=path)
    assert world.entries(shard) == {first.serial: "superseded", second.serial: "keyCompromise"}
    assert world.entries(path=path) == {second.serial: "keyCompromise"}
    indicator = delta.extensions.get_extension_for_class(x509.DeltaCRLIndicator)
    assert (indicator.critical, indicator.value.crl_number) == (True, base)
    assert number(delta) == number(complete)
    assert delta.last_update_utc == complete.last_update_utc
    assert (delta.next_update_utc - delta.last_update_utc).total_seconds() == DAY
    point = x509.IssuingDistributionPoint
    assert delta.extensions.get_extension_for_class(point) == complete.extensions.get_extension_for_class(point)
    [freshest] = complete.extensions.get_extension_for_class(x509.FreshestCRL).value
    assert freshest.full_name[0].value.endswith(path)
    world.clock.now += DAY // 2 + 60
    assert world.authority.publish_crls().done >= 1
    assert number(world.crl(path=path)) > number(delta), "made again at half of its own life"


def test_a_base_serves_for_half_of_its_life(make: Callable[..., FastWorld]) -> None:
    world = make(delta_crl_life=DAY, full_crl_every=0)
    certificate = world.issue(validity=20 * DAY)
    shard = serial_shard(certificate.serial)
    world.authority.publish_crls()
    world.authority.revoke(certificate, Reason.SUPERSEDED, OPERATOR)
    path = crl.delta_path(ISSUER, shard)
    assert certificate.serial in world.entries(path=path)
    world.clock.now += world.config.ca.crl_life // 2 + 60
    world.authority.publish_crls()
    assert certificate.serial in world.entries(path=path), "the old base is still in use by who has it"
    world.clock.now += DAY
    world.authority.publish_crls()
    assert world.entries(path=path) == {}
    assert certificate.serial in world.entries(shard)


def test_openssl_accepts_a_delta(make: Callable[..., FastWorld], openssl: Any, tmp_path: Path, pkilint: Any) -> None:
    world = make(delta_crl_life=DAY, full_crl_every=0)
    certificate = world.issue()
    shard = serial_shard(certificate.serial)
    world.authority.publish_crls()
    base = world.authority.publisher.folder.get(crl.list_path(ISSUER, shard))
    world.authority.revoke(certificate, Reason.SUPERSEDED, OPERATOR)
    delta = world.authority.publisher.folder.get(crl.delta_path(ISSUER, shard))
    assert base is not None
    assert delta is not None
    assert pkilint("crl", delta.body) == pkilint("crl", base.body) == []
    for name, der in (("leaf", certificate.der), ("root", world.hierarchy.root.certificate)):
        (tmp_path / f"{name}.der").write_bytes(der)
        openssl("x509", "-inform", "DER", "-in", f"{name}.der", "-out", f"{name}.pem")
    (tmp_path / "ca.der").write_bytes(world.hierarchy.issuing.certificate)
    openssl("x509", "-inform", "DER", "-in", "ca.der", "-out", "ca.pem")
    pem = ""
    for name, one in (("base", base), ("delta", delta)):
        (tmp_path / f"{name}.der").write_bytes(one.body)
        pem += openssl("crl", "-inform", "DER", "-in", f"{name}.der").stdout
    (tmp_path / "crls.pem").write_text(pem)

    def verdict(*more: str) -> str:
        said = openssl("verify", "-crl_check", "-extended_crl", "-CRLfile", "crls.pem", "-CAfile", "root.pem", *more,
                       "-untrusted", "ca.pem", "leaf.pem")  # fmt: skip
        return str(said.stdout + said.stderr)

    assert verdict() == "leaf.pem: OK\n", "the base alone knows nothing of it"
    assert "certificate revoked" in verdict("-use_deltas")


# --- the number of shards -----------------------------------------------------------------------


def test_a_change_of_the_count_opens_new_ids_and_closes_the_old(make: Callable[..., FastWorld]) -> None:
    world = make()
    old = world.issue(validity=2 * DAY)
    assert world.authority.reshard(ISSUER, 2, OPERATOR) == (4, 5)
    assert {serial_shard(world.issue().serial) for _ in range(20)} == {4, 5}
    for shard in (4, 5):
        first = world.authority.publisher.folder.get(crl.list_path(ISSUER, shard))
        assert first is not None
        assert first.fresh_until > world.clock(), "it has just begun"
    world.authority.revoke(old, Reason.SUPERSEDED, OPERATOR)
    assert old.serial in world.entries(serial_shard(old.serial)), "a closed shard still tells"
    with pytest.raises(BadRequest):
        world.authority.reshard(ISSUER, 0, OPERATOR)
    with pytest.raises(BadRequest):
        world.authority.reshard("root-g1", 2, OPERATOR)


def test_without_signer_nothing_is_opened(make: Callable[..., FastWorld]) -> None:
    world = make()
    world.signer.away = True
    with pytest.raises(HSMUnavailable):
        world.authority.reshard(ISSUER, 2, OPERATOR)
    assert world.authority.store.open_shards(ISSUER) == (0, 1, 2, 3)
    world.signer.away = False
    assert world.authority.reshard(ISSUER, 2, OPERATOR) == (6, 7)


def test_a_closed_shard_is_signed_until_one_list_after_its_last_certificate(make: Callable[..., FastWorld]) -> None:
    world = make(full_crl_every=0)
    certificate = world.issue(validity=5 * DAY)
    shard = serial_shard(certificate.serial)
    world.authority.revoke(certificate, Reason.SUPERSEDED, OPERATOR)
    world.authority.reshard(ISSUER, 1, OPERATOR)
    for _ in range(4):
        world.clock.now += world.config.ca.crl_life // 2
        world.authority.publish_crls()
    state = world.authority.store.shard(ISSUER, shard)
    assert state.ended_at
    assert state.this_update > certificate.not_after
    assert certificate.serial in world.entries(shard), "L-07: one more list after the expiry"
    last = number(world.crl(shard))
    published = world.authority.publisher.folder.get(crl.list_path(ISSUER, shard))
    assert published is not None
    assert published.fresh_until == 0, "it ages no more: nobody is woken by it"
    world.clock.now += world.config.ca.crl_life
    world.authority.publish_crls()
    assert number(world.crl(shard)) == last
    foreign = Revocation(ISSUER, certificate.serial + 1, world.clock(), Reason.SUPERSEDED, SYSTEM, world.clock() + DAY)
    world.authority.store.revoke(foreign)
    world.authority.publish_crls()
    assert number(world.crl(shard)) > last, "and if anything happens, it begins again"


def test_foreign_serials_get_one_shard(make: Callable[..., FastWorld]) -> None:
    world = make(full_crl_every=0)
    for serial in (0x1234, 2**64, 2**150 + 7):
        fact = Revocation(ISSUER, serial, world.clock(), Reason.KEY_COMPROMISE, SYSTEM, world.clock() + DAY)
        world.authority.store.revoke(fact)
    world.authority.publish_crls()
    assert set(world.entries(0xFFFF)) == {0x1234, 2**64, 2**150 + 7}


# --- set back -----------------------------------------------------------------------------------


def _restore(world: FastWorld, backup: Path) -> None:
    world.authority.store.close()
    for left in world.folder.glob("ca.sqlite*"):
        left.unlink()
    shutil.copy(backup, world.folder / "ca.sqlite")
    world.restart()


@pytest.fixture
def restored(make: Callable[..., FastWorld], tmp_path: Path) -> tuple[FastWorld, Any, Any]:
    """A world whose database was set back to before two revocations, one of them of an unknown certificate."""
    world = make()
    known = world.issue()
    world.authority.publish_crls()
    world.authority.store.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(world.folder / "ca.sqlite", tmp_path / "backup")
    unknown = world.issue()
    for certificate in (known, unknown):
        world.authority.revoke(certificate, Reason.KEY_COMPROMISE, OPERATOR)
    world.authority.publish_crls()
    _restore(world, tmp_path / "backup")
    return world, known, unknown


def test_inc01_after_a_restore_nothing_that_says_less_is_published(restored: tuple[FastWorld, Any, Any]) -> None:
    """The rows know of no revocation; the folder does, and is asked."""
    world, known, _ = restored
    world.clock.now += world.config.ca.crl_life // 2
    report = world.authority.publish_crls()
    assert report.failed == len({serial_shard(one.serial) for one in restored[1:]})
    assert world.entries(serial_shard(known.serial))[known.serial] == "keyCompromise"
    refused = b"".join(row.body for row in world.authority.store.recent(9) if row.action == "publication.refused")
    assert b"crl adopt" in refused


def test_inc01_adoption_brings_them_back_to_crl_and_ocsp(restored: tuple[FastWorld, Any, Any]) -> None:
    world, known, unknown = restored
    bodies = list(published_crls(world.authority))
    dry = world.authority.adopt_crls(bodies, OPERATOR, dry_run=True)
    assert {one.serial for one in dry.adopted} == {known.serial, unknown.serial}
    assert world.authority.store.revoked(ISSUER, crl.FULL, 0) == ()
    done = world.authority.adopt_crls(bodies, OPERATOR)
    assert {one.serial for one in done.adopted} == {known.serial, unknown.serial}
    assert world.authority.adopt_crls(bodies, OPERATOR).adopted == (), "twice is no error"
    world.clock.now += world.config.ca.crl_life // 2
    assert world.authority.publish_crls().failed == 0
    world.authority.refresh_ocsp()
    for certificate in (known, unknown):
        fact = world.authority.store.revocation(ISSUER, certificate.serial)
        assert fact.comment.startswith("adopted from CRL")
        assert world.entries(serial_shard(certificate.serial))[certificate.serial] == "keyCompromise"
        answer = world.answer(certificate.serial)
        assert answer.revocation_reason is x509.ReasonFlags.key_compromise
        assert answer.this_update_utc.timestamp() == world.clock() - 60, "a fresh one, above the old generation"


def test_only_lists_of_our_own_are_adopted(restored: tuple[FastWorld, Any, Any]) -> None:
    world, known, _ = restored
    fact = Revocation(ISSUER, known.serial, world.clock(), Reason.KEY_COMPROMISE, SYSTEM, 0)
    own = world.hierarchy
    root = crl.build(own.root, own.root_key, [replace(fact, issuer="root-g1")], 1, world.clock(), world.clock() + DAY)
    for body in (b"junk", root):
        with pytest.raises(BadRequest):
            world.authority.adopt_crls([body], OPERATOR)


def test_inc02_numbers_rise_above_the_ledger_after_a_restore_with_a_clock_that_is_behind(
    restored: tuple[FastWorld, Any, Any],
) -> None:
    """Neither records nor clock know how high the numbers were: the signer's ledger does."""
    world, known, _ = restored
    shard = serial_shard(known.serial)
    before = world.crl(shard)
    world.authority.adopt_crls(published_crls(world.authority), OPERATOR)
    world.clock.now -= 200
    shutil.rmtree(world.folder / "public")
    assert world.authority.publish_crls().failed == 0
    assert number(world.crl(shard)) > number(before)
    assert world.crl(shard).last_update_utc >= before.last_update_utc


# --- one more of many ---------------------------------------------------------------------------


def test_one_more_revocation_writes_one_entry(make: Callable[..., FastWorld]) -> None:
    """Entries are written once: what another revocation costs is a copy of its shard."""
    world = make()
    first, second = world.issue(), world.issue()
    world.authority.revoke(first, Reason.SUPERSEDED, OPERATOR)
    assert world.authority.store.unwritten(ISSUER, crl.FULL) == ()
    kept, _ = world.authority.store.entries(ISSUER, crl.FULL, 0)
    world.authority.revoke(second, Reason.SUPERSEDED, OPERATOR)
    assert [one for one in world.authority.store.entries(ISSUER, crl.FULL, 0)[0] if one in kept] == kept
    with pytest.raises(AlreadyRevoked):
        world.authority.revoke(first, Reason.SUPERSEDED, OPERATOR)
    world.authority.revoke(first, Reason.KEY_COMPROMISE, OPERATOR)
    assert world.entries(serial_shard(first.serial))[first.serial] == "keyCompromise", "INC-04"


def test_threads_that_revoke_in_one_shard_share_a_signature(make: Callable[..., FastWorld]) -> None:
    world = make(full_crl_every=0)
    certificates = [world.issue() for _ in range(12)]
    world.authority.publish_crls()
    world.signer.signed.clear()
    threads = [
        threading.Thread(target=world.authority.revoke, args=(one, Reason.SUPERSEDED, OPERATOR)) for one in certificates
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    told = {serial for shard in range(4) for serial in world.entries(shard)}
    assert told == {one.serial for one in certificates}
    assert world.signer.signed.count(SignKind.CRL) <= len(certificates)
