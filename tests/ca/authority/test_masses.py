"""Many at once, holds, and certificates that were never stored. B-09, INC-09: a rehearsed operation."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.x509 import ocsp

from ca import crl
from ca.authority import masses
from ca.authority.masses import parse_query
from ca.authority.revoke import LEAF_REASONS, REASONS, parse_reason
from ca.errors import AlreadyRevoked, BadRequest, BadRevocationReason, Conflict, HSMUnavailable, NotFound
from ca.profiles import OWN_PROFILE
from ca.records import SYSTEM, MassRevocation, Query, Reason, RevokeRequest, serial_shard
from tests.ca.authority.fast import ISSUER, FastWorld
from tests.ca.authority.world import OPERATOR

DAY = 86400
COMPROMISED = RevokeRequest(Reason.KEY_COMPROMISE, OPERATOR, "the library that made the keys was weak")
HOLD = RevokeRequest(Reason.CERTIFICATE_HOLD, OPERATOR, "laptop mislaid")
Make = Callable[..., FastWorld]

pytestmark = pytest.mark.slow


def _revoked(world: FastWorld) -> set[int]:
    return {serial for shard in range(4) for serial in world.entries(shard)}


# --- one ----------------------------------------------------------------------------------------


def test_a_hold_is_told_and_taken_back_everywhere(make: Make) -> None:
    world = make(delta_crl_life=DAY)
    certificate = world.issue()
    shard = serial_shard(certificate.serial)
    world.authority.publish_crls()
    world.authority.revoke_serial(ISSUER, certificate.serial, HOLD)
    assert world.entries(shard) == {certificate.serial: "certificateHold"}
    assert world.answer(certificate.serial).certificate_status is ocsp.OCSPCertStatus.REVOKED
    assert world.authority.certificate(certificate.serial).reason == "certificateHold"
    with pytest.raises(AlreadyRevoked):
        world.authority.revoke_serial(ISSUER, certificate.serial, HOLD)
    world.clock.now += 60
    world.authority.release(ISSUER, certificate.serial, replace(HOLD, comment="found"))
    assert world.entries(shard) == {}
    assert world.entries(path=crl.delta_path(ISSUER, shard)) == {certificate.serial: "removeFromCRL"}, "L-06"
    assert world.answer(certificate.serial).certificate_status is ocsp.OCSPCertStatus.GOOD
    assert world.authority.certificate(certificate.serial).status(world.clock()) == "valid"
    with pytest.raises(Conflict):
        world.authority.release(ISSUER, certificate.serial, HOLD)
    world.clock.now += 60
    world.authority.revoke_serial(ISSUER, certificate.serial, HOLD)
    since = world.authority.store.revocation(ISSUER, certificate.serial).revoked_at
    assert since == world.clock.now
    world.clock.now += 60
    world.authority.revoke_serial(ISSUER, certificate.serial, COMPROMISED)
    fact = world.authority.store.revocation(ISSUER, certificate.serial)
    assert (fact.reason, fact.revoked_at) == (Reason.KEY_COMPROMISE, since), "it was held since then"
    assert world.entries(shard) == {certificate.serial: "keyCompromise"}
    with pytest.raises(AlreadyRevoked):
        world.authority.release(ISSUER, certificate.serial, HOLD)


def test_a_release_that_the_journal_does_not_tell_of_publishes_nothing(make: Make) -> None:
    """INC-01: whoever can write to the database and lifts a hold by hand meets the gate."""
    world = make(full_crl_every=0)
    certificate = world.issue()
    world.authority.revoke_serial(ISSUER, certificate.serial, HOLD)
    world.authority.store.release_hold(ISSUER, certificate.serial, world.clock())
    assert world.authority.publish_crls().failed == 1
    assert certificate.serial in _revoked(world)


def test_the_invalidity_date_reaches_the_list(make: Make) -> None:
    world = make()
    certificate = world.issue()
    since = world.clock() - 5 * DAY
    with pytest.raises(BadRequest):
        world.authority.revoke_serial(
            ISSUER, certificate.serial, replace(COMPROMISED, invalidity_date=world.clock() + 9)
        )
    world.authority.revoke_serial(ISSUER, certificate.serial, replace(COMPROMISED, invalidity_date=since))
    [entry] = world.crl(serial_shard(certificate.serial))
    dates = [
        one.value.invalidity_date_utc.timestamp()
        for one in entry.extensions
        if hasattr(one.value, "invalidity_date_utc")
    ]
    assert dates == [since]


def test_a_certificate_that_was_never_stored_gets_crl_and_ocsp(make: Make) -> None:
    """INC-05: found in the wild, or issued by what this CA replaced; its serial is enough."""
    world = make()
    with pytest.raises(NotFound):
        world.authority.revoke_serial(ISSUER, 0x4711, COMPROMISED)
    world.authority.revoke_serial(ISSUER, 0x4711, COMPROMISED, end=world.clock() + 10 * DAY)
    assert world.entries(0xFFFF) == {0x4711: "keyCompromise"}
    assert world.answer(0x4711).certificate_status is ocsp.OCSPCertStatus.REVOKED
    with pytest.raises(BadRequest):
        world.authority.revoke_serial("root-g1", 5, COMPROMISED, end=world.clock() + DAY)


def test_reasons_are_denied_by_default() -> None:
    assert parse_reason("certificateHold", REASONS) is Reason.CERTIFICATE_HOLD
    with pytest.raises(BadRevocationReason):
        parse_reason("certificateHold")
    assert {Reason.CERTIFICATE_HOLD} == REASONS - LEAF_REASONS


# --- many ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("owner:payments", Query(owner="payments")),
        ("san:*.pay.test  profile:server", Query(name="*.pay.test", profile="server")),
        ("key:00ff issuer:issuing-g1 account:a1", Query(public_key="00ff", issuer="issuing-g1", account="a1")),
    ],
)
def test_queries_are_read(text: str, query: Query) -> None:
    assert parse_query(text) == query


@pytest.mark.parametrize("text", ["owner", "owner:", "colour:red", "owner:a owner:b", "name:a san:b"])
def test_what_is_no_query_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_query(text)


@pytest.mark.parametrize(
    "query", [Query(), Query(status="valid"), Query(owner="a", limit=5), Query(owner="a", after="x")]
)
def test_nobody_revokes_everything_by_mistake(make: Make, query: Query) -> None:
    world = make()
    with pytest.raises(BadRequest):
        world.authority.begin_mass(query, COMPROMISED)
    assert world.authority.masses() == ()


def test_all_that_a_query_finds_is_revoked_and_nothing_else(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masses, "STEP", 4)
    world = make()
    theirs = [world.issue(owner="payments") for _ in range(9)]
    other = world.issue(owner="ledger")
    expired = world.issue(owner="payments", validity=DAY)
    world.authority.revoke(theirs[0], Reason.SUPERSEDED, OPERATOR)
    world.authority.revoke(theirs[1], Reason.KEY_COMPROMISE, OPERATOR)
    world.clock.now += 2 * DAY
    count, sample = world.authority.preview_mass(Query(owner="payments"), COMPROMISED)
    assert (count, len(sample)) == (8, 8)
    told: list[int] = []
    mass = world.authority.begin_mass(Query(owner="payments"), COMPROMISED)
    done = world.authority.go_on_with_mass(mass.id, lambda one: told.append(one.revoked))
    assert (done.state, done.total, done.revoked, done.skipped) == ("done", 8, 8, 2)
    assert told == sorted(told)
    assert len(told) >= 3
    assert {one.serial for one in theirs} <= _revoked(world)
    assert not {other.serial, expired.serial} & _revoked(world)
    for one in theirs:
        assert world.answer(one.serial).revocation_reason is not None
        assert world.entries(serial_shard(one.serial))[one.serial] == "keyCompromise", "upgraded too"
    actions = [row.action for row in world.authority.store.recent(60)]
    assert actions.count("revocation.begun") == actions.count("revocation.ended") == 1


def test_what_this_ca_serves_its_own_pages_with_is_left_out(make: Make) -> None:
    world = make()
    own, other = world.issue(profile=OWN_PROFILE, actor=SYSTEM), world.issue()
    assert world.authority.preview_mass(Query(issuer=ISSUER), COMPROMISED)[0] == 1
    assert masses.spared(world.authority, Query(issuer=ISSUER))
    assert not masses.spared(world.authority, Query(issuer=ISSUER, profile="server"))
    mass = world.authority.begin_mass(Query(issuer=ISSUER), COMPROMISED)
    done = world.authority.go_on_with_mass(mass.id)
    assert (done.revoked, done.skipped) == (1, 1)
    assert _revoked(world) == {other.serial}
    world.authority.revoke_serial(ISSUER, own.serial, COMPROMISED)
    assert own.serial in _revoked(world), "one alone, by its serial"
    assert not masses.spared(world.authority, Query(issuer=ISSUER))


def test_what_is_issued_after_its_time_is_not_taken(make: Make) -> None:
    world = make()
    before = world.issue(owner="payments")
    query = Query(owner="payments", issued_until=world.clock())
    world.clock.now += 1
    after = world.issue(owner="payments")
    mass = world.authority.begin_mass(query, COMPROMISED)
    assert (mass.total, world.authority.go_on_with_mass(mass.id).revoked) == (1, 1)
    assert _revoked(world) == {before.serial}
    assert world.authority.certificate(after.serial).revoked_at == 0


def test_it_is_prepared_before_the_first_is_revoked_and_not_again(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masses, "STEP", 3)
    world = make()
    for _ in range(8):
        world.issue(owner="payments")
    mass = world.authority.begin_mass(Query(owner="payments"), COMPROMISED)
    prepared: list[int] = []

    def prepare(one: MassRevocation) -> None:
        assert one.id == mass.id
        prepared.append(world.authority.mass(one.id).revoked)

    def die(_: MassRevocation) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.authority.go_on_with_mass(mass.id, die, prepare)
    world.clock.now += masses.ASLEEP
    assert world.authority.revoke_masses(prepare).done == 5
    assert prepared == [0]


def test_by_public_key(make: Make) -> None:
    import hashlib

    from tests.ca.authority.world import a_request

    world = make()
    request = a_request("one.test")
    first = world.authority.issue(request)
    second = world.authority.issue(replace(request, names=a_request("two.test").names))
    other = world.issue()
    key = hashlib.sha256(request.public_key).hexdigest()
    mass = world.authority.begin_mass(Query(public_key=key.upper()), COMPROMISED)
    assert world.authority.go_on_with_mass(mass.id).revoked == 2
    assert _revoked(world) == {first.serial, second.serial}
    assert other.serial not in _revoked(world)


def test_a_runner_that_died_is_followed_by_the_scheduler(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masses, "STEP", 3)
    world = make()
    certificates = [world.issue(owner="payments") for _ in range(8)]
    mass = world.authority.begin_mass(Query(owner="payments"), COMPROMISED)

    class Killed(Exception):
        pass

    def die(_: Any) -> None:
        raise Killed

    with pytest.raises(Killed):
        world.authority.go_on_with_mass(mass.id, die)
    world.restart()
    assert world.authority.mass(mass.id).revoked == 3
    assert world.authority.revoke_masses().done == 0, "it may still be alive"
    world.clock.now += masses.ASLEEP
    assert world.authority.revoke_masses().done == 5
    assert world.authority.mass(mass.id).state == "done"
    assert {one.serial for one in certificates} == _revoked(world)
    assert world.authority.revoke_masses().done == 0


def test_two_runners_count_nothing_twice(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masses, "STEP", 2)
    world = make()
    for _ in range(10):
        world.issue(owner="payments")
    mass = world.authority.begin_mass(Query(owner="payments"), COMPROMISED)
    threads = [threading.Thread(target=world.authority.go_on_with_mass, args=(mass.id,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    world.authority.go_on_with_mass(mass.id)
    done = world.authority.mass(mass.id)
    assert (done.state, done.revoked, done.skipped) == ("done", 10, 0)


def test_without_signer_the_revocations_stand(make: Make) -> None:
    world = make()
    certificates = [world.issue(owner="payments") for _ in range(3)]
    mass = world.authority.begin_mass(Query(owner="payments"), COMPROMISED)
    world.signer.away = True
    with pytest.raises(HSMUnavailable):
        world.authority.go_on_with_mass(mass.id)
    assert world.authority.mass(mass.id).state == "done"
    world.signer.away = False
    world.authority.publish_crls()
    world.authority.refresh_ocsp()
    assert {one.serial for one in certificates} == _revoked(world)


def test_it_can_be_stopped(make: Make) -> None:
    world = make()
    certificate = world.issue(owner="payments")
    mass = world.authority.begin_mass(Query(owner="payments"), COMPROMISED)
    assert world.authority.stop_mass(mass.id, COMPROMISED).state == "stopped"
    assert world.authority.go_on_with_mass(mass.id).revoked == 0
    assert world.authority.certificate(certificate.serial).revoked_at == 0
    with pytest.raises(Conflict):
        world.authority.stop_mass(mass.id, COMPROMISED)
