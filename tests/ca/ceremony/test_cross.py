"""Cross-signing: what relying parties of the old root accept, what is never wider, and what is refused."""

import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca import crl
from ca.authority.chain import ways
from ca.ceremony.certificates import Parent, certification_request, issuing_certificate, root_certificate
from ca.ceremony.cross import cross_sign
from ca.ceremony.further import renew_lists
from ca.ceremony.hold import Minutes, hold
from ca.ceremony.plans import CrossPlan, End, IssuingPlan, RootPlan, demo_issuing
from ca.ceremony.transcript import sha256
from ca.clock import system_clock
from ca.errors import BadRequest, CAError, ConfigError, Conflict, KeyMismatch, PolicyDenied
from ca.issuer import IssuingCA, Urls
from ca.keys.algorithms import spki_of
from ca.keys.client import private_key as remote_key
from ca.names import parse_any
from ca.records import Actor, BlockedKey, IssueRequest, Reason, make_serial
from tests.ca.ceremony.conftest import STATUS_URL

pytestmark = pytest.mark.slow

DAY = 86400
OLD = replace(RootPlan(), spares=0)
NEW = replace(OLD, id="root-g2", common_name="Certwright Root G2", life=7300 * DAY)
ISSUING = replace(demo_issuing(("test",)), id="issuing-g2", common_name="DEMO – DO NOT TRUST Issuing G2")
OPERATOR = Actor("ceremony", "alice")
URLS = Urls(STATUS_URL)


def minutes(archive: Any = lambda _: None) -> Minutes:
    return Minutes(OPERATOR, archive, ("Bob",))


@pytest.fixture
def old(world: Any, memory_root: Any) -> Any:
    """The key of the old root; the records hold a new one too, whose issuing CA is issuing-g2."""
    key = memory_root(OLD)
    hold(world.room, OLD, demo_issuing(("test",)), key, minutes())
    hold(world.room, NEW, ISSUING, memory_root(NEW), minutes())
    return key


def plan(world: Any, subject: str = "root-g2", **more: Any) -> CrossPlan:
    more = {"permitted": ("corp.test",)} | more
    return CrossPlan(f"{subject}-by-root-g1", world.room.store.issuer(subject).certificate, **more)


def load(der: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(der)


def value(certificate: x509.Certificate, kind: Any) -> Any:
    return certificate.extensions.get_extension_for_class(kind).value


def leaf(world: Any, spki: Any, profile: Any) -> bytes:
    issuer = world.room.store.issuer("issuing-g2")
    key = world.room.store.key(issuer.key_id)
    one = IssuingCA(issuer, lambda kind: remote_key(world.room.signer, key, kind), STATUS_URL)
    request = IssueRequest(spki("ec-p256"), (parse_any("a.corp.test"),), profile.name, OPERATOR)
    return one.sign(one.prepare(profile, request, make_serial(0, b"s" * 16), system_clock()))


@pytest.fixture
def verify(world: Any, openssl: Any, tmp_path: Any) -> Any:
    """What openssl says who trusts the old root alone and gets a leaf of the new one, with these in between."""

    def check(der: bytes, *between: bytes, crls: tuple[str, ...] = ()) -> str:
        for name, certificates in (("leaf", [der]), ("between", between), ("old", [trusted(world)])):
            pem = b"".join(load(one).public_bytes(Encoding.PEM) for one in certificates)
            (tmp_path / f"{name}.pem").write_bytes(pem)
        lists = (x509.load_der_x509_crl(world.folder.get(crl.shard_path(one, 0)).body) for one in crls)
        (tmp_path / "crls.pem").write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in lists))
        looking = ("-crl_check_all", "-CRLfile", "crls.pem") if crls else ()
        more = ("-untrusted", "between.pem") if between else ()
        words = ("-x509_strict", "-CAfile", "old.pem", *more, *looking, "leaf.pem")
        done = openssl("verify", "-no-CApath", "-no-CAstore", *words)
        return str(done.stdout + done.stderr)

    return check


def chains(world: Any) -> list[list[str]]:
    """Which certificates each chain of the new root's issuing CA has: the room has a desk's store and clock."""
    return [[one.id for one in way] for way in ways(world.room, "issuing-g2")]


def trusted(world: Any) -> bytes:
    return bytes(world.room.store.issuer("root-g1").certificate)


def test_who_trusts_the_old_root_alone_accepts_the_new_ones_leaves(
    world: Any, old: Any, verify: Any, spki: Any, hierarchy: Any, pkilint: Any
) -> None:
    kept: list[Any] = []
    made = cross_sign(world.room, OLD, old, plan(world), minutes(kept.append))
    one, issuing = leaf(world, spki, hierarchy.profiles["server"]), world.room.store.issuer("issuing-g2").certificate
    assert "OK" not in verify(one, issuing)
    assert "OK" not in verify(one, issuing, world.room.store.issuer("root-g2").certificate)
    assert "OK" in verify(one, issuing, made.certificate)

    own, cross = load(world.room.store.issuer("root-g2").certificate), load(made.certificate)
    assert cross.subject.public_bytes() == own.subject.public_bytes()
    assert cross.public_key() == own.public_key()
    assert value(cross, x509.SubjectKeyIdentifier) == value(own, x509.SubjectKeyIdentifier)
    assert cross.serial_number != own.serial_number
    assert cross.not_valid_after_utc <= load(trusted(world)).not_valid_after_utc
    assert [point.full_name[0].value for point in value(cross, x509.CRLDistributionPoints)] == [URLS.crl("root-g1", 0)]
    assert pkilint("certificate", made.certificate) == []

    assert world.folder.get(f"ca/{made.id}.cer").body == made.certificate
    assert world.room.store.issuer(made.id) == made
    assert (made.key_id, made.kind, made.parent) == ("root-g2", "cross", "root-g1")
    rows = world.room.store.rows("SELECT action, body FROM event ORDER BY id")[-2:]
    assert [row[0] for row in rows] == ["issuer.cross-signed", "ceremony.performed"]
    assert json.loads(bytes(rows[1][1]))["detail"]["sha256"] == kept[0].sha256
    for words in ("certificate to be cross-signed", "signed by its own key", "test signature", "Bob"):
        assert words in kept[0].text()


def test_a_later_ceremony_revokes_it(world: Any, old: Any, verify: Any) -> None:
    made = cross_sign(world.room, OLD, old, plan(world), minutes())
    assert "OK" in verify(made.certificate, crls=("root-g1",))
    assert chains(world) == [["issuing-g2"], ["issuing-g2", made.id]], "an alternate for ACME (RFC 8555 §7.4.2)"
    renew_lists(world.room, OLD, old, minutes(), End(made.id, Reason.SUPERSEDED))
    assert "certificate revoked" in verify(made.certificate, crls=("root-g1",))
    assert world.room.store.issuer(made.id).state == "revoked"
    assert chains(world) == [["issuing-g2"]]
    assert world.room.store.issuer("root-g2").state == "active"
    again = replace(plan(world), id="root-g2-by-root-g1-2")
    assert "OK" in verify(cross_sign(world.room, OLD, old, again, minutes()).certificate, crls=("root-g1",))


def test_after_a_crash_the_same_ceremony_can_be_held(world: Any, old: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Crash(Exception):
        """A crash of ours."""

    def crash(*_: object, **__: object) -> None:
        raise Crash

    with pytest.raises(Crash):
        cross_sign(world.room, OLD, old, plan(world), minutes(crash))
    with monkeypatch.context() as patch:
        patch.setattr("ca.ceremony.records._performed", crash)
        with pytest.raises(Crash):
            cross_sign(world.room, OLD, old, plan(world), minutes())
    assert world.folder.get("ca/root-g2-by-root-g1.cer") is None
    made = cross_sign(world.room, OLD, old, plan(world), minutes())
    with pytest.raises(Conflict, match="exists already"):
        cross_sign(world.room, OLD, old, plan(world), minutes())
    assert world.folder.get("ca/root-g2-by-root-g1.cer").body == made.certificate


def test_an_issuing_ca_of_the_new_root_keeps_its_limits(world: Any, old: Any, verify: Any) -> None:
    made = cross_sign(world.room, OLD, old, plan(world, "issuing-g2", permitted=()), minutes())
    own, cross = load(world.room.store.issuer("issuing-g2").certificate), load(made.certificate)
    for kind in (x509.NameConstraints, x509.BasicConstraints, x509.KeyUsage, x509.SubjectKeyIdentifier):
        assert value(cross, kind) == value(own, kind)
    assert own.not_valid_before_utc <= cross.not_valid_before_utc
    assert cross.not_valid_after_utc <= own.not_valid_after_utc
    assert "OK" in verify(made.certificate)


def test_options_only_narrow(world: Any, old: Any) -> None:
    narrow = plan(world, "issuing-g2", permitted=("a.test",), life=3 * DAY)
    cross = load(cross_sign(world.room, OLD, old, narrow, minutes()).certificate)
    names = value(cross, x509.NameConstraints)
    assert x509.DNSName("a.test") in names.permitted_subtrees
    assert x509.DNSName("test") not in names.permitted_subtrees
    own = value(load(world.room.store.issuer("issuing-g2").certificate), x509.NameConstraints)
    assert set(own.excluded_subtrees) <= set(names.excluded_subtrees)
    assert cross.not_valid_after_utc.timestamp() < system_clock() + 3 * DAY


@pytest.mark.parametrize(
    ("subject", "more", "refusal", "words"),
    [
        ("issuing-g2", {"permitted": ("other.example",)}, PolicyDenied, "outside"),
        ("issuing-g2", {"permitted": (), "path_length": 1}, PolicyDenied, "wider"),
        ("root-g2", {"permitted": ()}, PolicyDenied, "required"),
        ("root-g2", {"request": b"none"}, CAError, "cannot be read"),
        ("root-g1", {}, Conflict, "needs no cross"),
        ("issuing-g1", {"permitted": ()}, Conflict, "needs no cross"),
    ],
)
def test_what_is_refused_before_anything_is_signed(
    world: Any, old: Any, subject: str, more: Any, refusal: Any, words: str
) -> None:
    with pytest.raises(refusal, match=words):
        cross_sign(world.room, OLD, old, plan(world, subject, **more), minutes(pytest.fail))
    assert all(one.kind != "cross" for one in world.room.store.issuers())


def test_permit_and_unconstrained_exclude_each_other(world: Any, old: Any) -> None:
    with pytest.raises(ConfigError):
        plan(world, unconstrained=True)
    made = cross_sign(world.room, OLD, old, plan(world, permitted=(), unconstrained=True), minutes())
    with pytest.raises(x509.ExtensionNotFound):
        value(load(made.certificate), x509.NameConstraints)


def test_another_roots_token_signs_nothing(world: Any, old: Any, memory_root: Any) -> None:
    with pytest.raises(KeyMismatch):
        cross_sign(world.room, OLD, memory_root(OLD), plan(world), minutes())


def test_the_key_of_a_foreign_ca_must_be_proven(world: Any, old: Any, private_key: Any) -> None:
    root_key, key = private_key("ec-p384"), private_key("ec-p256")
    theirs = replace(OLD, id="theirs", common_name="Their Root")
    issuing = IssuingPlan(id="partner-g1", common_name="Partner Issuing", permitted=("test",))
    root, request = root_certificate(theirs, root_key, system_clock()), certification_request(issuing, key)
    der = issuing_certificate(issuing, request, Parent("theirs", root, root_key), URLS, system_clock())
    bare = CrossPlan("partner-g1", der)
    with pytest.raises(PolicyDenied, match="not self-signed"):
        cross_sign(world.room, OLD, old, bare, minutes())
    with pytest.raises(PolicyDenied, match="another key"):
        cross_sign(
            world.room,
            OLD,
            old,
            replace(bare, request=certification_request(issuing, private_key("ec-p256"))),
            minutes(),
        )
    made = cross_sign(world.room, OLD, old, replace(bare, request=request), minutes())
    assert made.key_id == ""
    load(made.certificate).verify_directly_issued_by(load(trusted(world)))


def test_neither_a_borrowed_name_nor_a_compromised_key_nor_a_leaf(
    world: Any, old: Any, private_key: Any, spki: Any, hierarchy: Any
) -> None:
    def refused(der: bytes, words: str, refusal: Any = PolicyDenied) -> None:
        with pytest.raises(refusal, match=words):
            cross_sign(world.room, OLD, old, CrossPlan("x-g1", der, permitted=("test",)), minutes())

    refused(root_certificate(NEW, private_key("ec-p384"), system_clock()), "has the name of root-g2")
    refused(leaf(world, spki, hierarchy.profiles["server"]), "no CA", BadRequest)
    gone = replace(OLD, common_name="Gone", life=DAY)
    refused(root_certificate(gone, private_key("ec-p384"), system_clock() - 2 * DAY), "has ended", Conflict)
    key, other = private_key("ec-p384"), replace(OLD, common_name="Other")
    world.room.store.block(BlockedKey(sha256(spki_of(key.public_key())), "operator:alice", 1))
    refused(root_certificate(other, key, system_clock()), "compromised")
