"""Later ceremonies of a root: its next CRLs, and the end of an issuing CA (L-09, B-03, INC-01, INC-02)."""

import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.ceremony import further
from ca.ceremony.further import next_number, renew_lists
from ca.ceremony.hold import Minutes, hold
from ca.ceremony.plans import End, RootPlan, demo_issuing
from ca.ceremony.spares import publish_due_spares
from ca.ceremony.transcript import Transcript
from ca.clock import system_clock
from ca.errors import Conflict, KeyMismatch, NotFound, StalePublication
from ca.records import Actor, Reason

pytestmark = pytest.mark.slow

DAY = 86400
PLAN = replace(RootPlan(), crl_life=100 * DAY, crl_overlap=20 * DAY, spares=2)
OPERATOR = Actor("ceremony", "alice")
PATH = "crl/root-g1/0000.crl"


def minutes(archive: Any = lambda _: None) -> Minutes:
    return Minutes(OPERATOR, archive, ("Bob",))


@pytest.fixture
def root(world: Any, memory_root: Any) -> Any:
    """The key of a root with two issuing CAs, of which the first has retired."""
    key = memory_root(PLAN)
    hold(world.room, PLAN, demo_issuing(("test",)), key, minutes())
    second = replace(demo_issuing(("test",)), id="issuing-g2", common_name="DEMO – DO NOT TRUST Issuing G2")
    hold(world.room, PLAN, second, key, minutes())
    world.room.store.set_issuer_state("issuing-g1", "retired")
    return key


def published(world: Any) -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(world.folder.get(PATH).body)


def number(crl: x509.CertificateRevocationList) -> int:
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def entries(world: Any) -> dict[int, tuple[Any, ...]]:
    return {
        one.serial_number: (one.revocation_date_utc, *(extension.value for extension in one.extensions))
        for one in published(world)
    }


def serial(world: Any, issuer: str) -> int:
    return x509.load_der_x509_certificate(world.room.store.issuer(issuer).certificate).serial_number


def test_further_lists_take_over_at_once_and_their_spares_follow(world: Any, root: Any) -> None:
    assert next_number(world.room, "root-g1") == 4
    made = renew_lists(world.room, PLAN, root, minutes())
    assert [one.number for one in made] == [4, 5, 6]
    assert number(published(world)) == 4
    begin = system_clock()
    room = world.room
    for days, expected in ((79, 4), (81, 5), (161, 6), (400, 6)):
        publish_due_spares(room.store, room.journal, room.publisher, lambda days=days: begin + days * DAY)
        assert number(published(world)) == expected, "the spares of the first ceremony are passed over"
    assert next_number(world.room, "root-g1") == 7


def test_a_revoked_ca_is_refused_by_those_who_look(world: Any, root: Any, openssl: Any, tmp_path: Any) -> None:
    (tmp_path / "roots.pem").write_bytes(world.folder.get("roots.pem").body)

    def look(issuer: str) -> str:
        (tmp_path / "ca.pem").write_bytes(world.folder.get(f"ca/{issuer}.pem").body)
        (tmp_path / "crl.pem").write_bytes(published(world).public_bytes(Encoding.PEM))
        done = openssl(
            "verify", "-x509_strict", "-CAfile", "roots.pem", "-crl_check_all", "-CRLfile", "crl.pem", "ca.pem"
        )
        return str(done.stdout + done.stderr)

    assert "OK" in look("issuing-g1")
    kept: list[Transcript] = []
    renew_lists(world.room, PLAN, root, minutes(kept.append), End("issuing-g1", Reason.CA_COMPROMISE))
    assert "certificate revoked" in look("issuing-g1")
    assert "OK" in look("issuing-g2")
    assert world.room.store.issuer("issuing-g1").state == "revoked"
    for wanted in ("issuing-g1 revoked", "cACompromise", "test signature", "Bob"):
        assert wanted in kept[0].text()
    rows = world.room.store.rows("SELECT action, body FROM event ORDER BY id")[-3:]
    assert [row[0] for row in rows] == ["issuer.revoked", "crl.published", "ceremony.performed"]
    assert json.loads(bytes(rows[2][1]))["detail"]["sha256"] == kept[0].sha256
    assert b"Bob" not in bytes(rows[2][1])


def test_what_was_revoked_once_is_told_by_every_list_after_it(world: Any, root: Any) -> None:
    renew_lists(world.room, PLAN, root, minutes(), End("issuing-g1", Reason.SUPERSEDED))
    told = entries(world)
    assert set(told) == {serial(world, "issuing-g1")}
    renew_lists(world.room, PLAN, root, minutes())
    assert entries(world) == told, "date and reason too"
    world.room.store.set_issuer_state("issuing-g2", "retired")
    renew_lists(world.room, PLAN, root, minutes(), End("issuing-g2", Reason.UNSPECIFIED))
    assert {one: told[one] for one in told} == {one: entries(world)[one] for one in told}
    assert set(entries(world)) == {serial(world, "issuing-g1"), serial(world, "issuing-g2")}
    spare = x509.load_der_x509_crl(world.room.publisher.get("spares/root-g1/0011.crl").body)
    assert len(list(spare)) == 2


def test_after_a_crash_the_same_ceremony_can_be_held(world: Any, root: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    end = End("issuing-g1", Reason.CA_COMPROMISE)
    before = world.folder.get(PATH).body
    with pytest.raises(Crash):
        renew_lists(world.room, PLAN, root, minutes(crash), end)
    with monkeypatch.context() as patch:
        patch.setattr("ca.ceremony.records._performed", crash)
        with pytest.raises(Crash):
            renew_lists(world.room, PLAN, root, minutes(), end)
    assert world.folder.get(PATH).body == before
    assert world.room.store.issuer("issuing-g1").state == "retired"
    assert next_number(world.room, "root-g1") == 4
    renew_lists(world.room, PLAN, root, minutes(), end)
    assert number(published(world)) == 4


class Crash(Exception):
    """A crash of ours."""


def crash(*_: object, **__: object) -> None:
    raise Crash


@pytest.mark.parametrize(
    ("issuer", "refusal", "words"),
    [
        ("issuing-g2", Conflict, "ca rotate"),
        ("root-g1", Conflict, "no issuing CA"),
        ("issuing-g9", NotFound, "issuing-g9"),
    ],
)
def test_what_cannot_be_revoked(world: Any, root: Any, issuer: str, refusal: Any, words: str) -> None:
    before = world.folder.get(PATH).body
    with pytest.raises(refusal) as raised:
        renew_lists(world.room, PLAN, root, minutes(), End(issuer, Reason.CA_COMPROMISE))
    assert words in f"{raised.value.detail} {raised.value.next_step}"
    assert world.folder.get(PATH).body == before


def test_nothing_is_revoked_twice_and_by_no_other_root(world: Any, root: Any, memory_root: Any) -> None:
    with pytest.raises(KeyMismatch):
        renew_lists(world.room, PLAN, memory_root(PLAN), minutes(), End("issuing-g1", Reason.CA_COMPROMISE))
    renew_lists(world.room, PLAN, root, minutes(), End("issuing-g1", Reason.CA_COMPROMISE))
    with pytest.raises(Conflict, match="already"):
        renew_lists(world.room, PLAN, root, minutes(), End("issuing-g1", Reason.CA_COMPROMISE))


def test_inc01_a_list_that_forgets_a_revocation_is_not_published(
    world: Any, root: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    renew_lists(world.room, PLAN, root, minutes(), End("issuing-g1", Reason.CA_COMPROMISE))
    before = world.folder.get(PATH).body
    monkeypatch.setattr(further, "_told", lambda *_: ())
    with pytest.raises(Exception, match="INC-01"):
        renew_lists(world.room, PLAN, root, minutes())
    assert world.folder.get(PATH).body == before


def test_what_another_ceremony_revokes_meanwhile_is_not_taken_back(
    world: Any, root: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = further._told

    def overtaken(*words: Any) -> Any:
        before = list(told(*words))
        monkeypatch.setattr(further, "_told", told)
        renew_lists(world.room, PLAN, root, minutes(), End("issuing-g1", Reason.CA_COMPROMISE))
        return before

    monkeypatch.setattr(further, "_told", overtaken)
    with pytest.raises(StalePublication):
        renew_lists(world.room, PLAN, root, minutes())
    assert set(entries(world)) == {serial(world, "issuing-g1")}
