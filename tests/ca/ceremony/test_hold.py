"""A ceremony from the first key to the first certificate, with a real signer (KC-01, KC-02, KC-07, KC-08)."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca import journal
from ca.ceremony import records
from ca.ceremony.hold import Minutes, hold
from ca.ceremony.plans import IssuingPlan, RootPlan, demo_issuing, demo_root
from ca.ceremony.transcript import Scribe, Transcript, read
from ca.clock import system_clock
from ca.config import Config
from ca.errors import BadRequest, ConfigError, Conflict, HSMUnavailable, KeyMismatch, StoreUnavailable
from ca.issuer import IssuingCA
from ca.keys.client import private_key
from ca.names import parse_any
from ca.profiles import compile_all
from ca.records import SYSTEM, Actor, IssueRequest, SignKind, make_serial
from tests.ca.keys.world import ROOT

pytestmark = pytest.mark.slow

OPERATOR = Actor("ceremony", "alice")
PLAN = demo_issuing(("test", "10.0.0.0/8"))


def minutes(archive: Callable[[Transcript], None] = lambda _: None, **more: Any) -> Minutes:
    return Minutes(OPERATOR, archive, **more)


def actions(world: Any) -> list[str]:
    rows = world.room.store.rows("SELECT action FROM event ORDER BY id")
    return [row[0] for row in rows]


def test_a_ceremony_makes_a_ca_that_issues(
    world: Any, memory_root: Any, spki: Any, openssl: Any, tmp_path: Path
) -> None:
    kept: list[Transcript] = []
    outcome = hold(world.room, demo_root(), PLAN, memory_root(demo_root()), minutes(kept.append, witnesses=("Bob",)))
    store, signer = world.room.store, world.room.signer
    assert not outcome.resumed
    assert {(one.id, one.kind, one.parent, one.state) for one in store.issuers()} == {
        ("root-g1", "root", "", "active"),
        ("issuing-g1", "issuing", "root-g1", "active"),
    }
    assert {one.id: one.state for one in iter(store.keys())} == {
        "root-g1": "active",
        "issuing-g1": "active",
        "journal-g1": "active",
        "issuing-g1-ocsp-1": "active",
    }
    assert signer.key("issuing-g1").state == "active"
    assert store.responder("issuing-g1").key_id == "issuing-g1-ocsp-1"
    key = signer.key("issuing-g1")
    ca = IssuingCA(outcome.issuing, lambda kind: private_key(signer, key, kind), world.room.status_url)
    request = IssueRequest(spki("ec-p256"), (parse_any("a.test"),), "server", SYSTEM)
    profile = compile_all(Config(mode="demo"))["server"]
    leaf = ca.sign(ca.prepare(profile, request, make_serial(0, b"0123456789abcdef"), system_clock()))
    _verifies(leaf, world, openssl, tmp_path)


def _verifies(leaf: bytes, world: Any, openssl: Any, tmp_path: Path) -> None:
    """By what was published, and nothing else."""
    (tmp_path / "leaf.pem").write_bytes(x509.load_der_x509_certificate(leaf).public_bytes(Encoding.PEM))
    for name, path in (("roots.pem", "roots.pem"), ("chain.pem", "chain/issuing-g1.pem")):
        (tmp_path / name).write_bytes(world.folder.get(path).body)
    crl = x509.load_der_x509_crl(world.folder.get("crl/root-g1/0000.crl").body)
    (tmp_path / "crl.pem").write_bytes(crl.public_bytes(Encoding.PEM))
    common = ["verify", "-x509_strict", "-CAfile", "roots.pem"]
    assert openssl(*common, "-untrusted", "chain.pem", "leaf.pem").stdout == "leaf.pem: OK\n"
    checked = openssl(*common, "-crl_check_all", "-CRLfile", "crl.pem", "chain.pem")
    assert checked.stdout == "chain.pem: OK\n", checked.stderr


def test_everything_is_published_and_journalled(world: Any, memory_root: Any) -> None:
    plan = replace(demo_root(), spares=2, crl_life=10 * 86400, crl_overlap=86400)
    outcome = hold(world.room, plan, PLAN, memory_root(plan), minutes())
    for path, content in (
        ("ca/root-g1.cer", outcome.root.certificate),
        ("ca/issuing-g1.cer", outcome.issuing.certificate),
    ):
        assert world.folder.get(path).body == content
        assert world.folder.get(path).content_type == "application/pkix-cert"
    for path in ("roots.pem", "ca/root-g1.pem", "ca/issuing-g1.pem", "chain/issuing-g1.pem"):
        assert world.folder.get(path).body.startswith(b"-----BEGIN CERTIFICATE-----\n"), path
    for number, path in ((1, "crl/root-g1/0000.crl"), (2, "spares/root-g1/0002.crl"), (3, "spares/root-g1/0003.crl")):
        published = world.folder.get(path)
        crl = x509.load_der_x509_crl(published.body)
        assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == published.version == number
        assert crl.is_signature_valid(x509.load_der_x509_certificate(outcome.root.certificate).public_key())
    assert sorted(actions(world)) == sorted(
        ["key.generated"] * 3
        + ["issuer.created"] * 2
        + ["ceremony.performed", "crl.published", "key.state-changed", "responder.renewed"]
    )
    _journal_is_whole(world)


def _journal_is_whole(world: Any) -> None:
    room = world.room
    key = room.signer.key("journal-g1")
    sign = lambda text: room.signer.sign("journal-g1", SignKind.CHECKPOINT, text)
    assert journal.sequence(room.store, sign, room.clock, 0, "journal-g1") == 9
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    journal.verify(room.store, {"journal-g1": load_der_public_key(key.spki)})


def test_kc01_the_transcript_tells_of_keys_signatures_and_tools(world: Any, memory_root: Any) -> None:
    kept: list[Transcript] = []
    outcome = hold(
        world.room, demo_root(), PLAN, memory_root(demo_root()), minutes(kept.append, witnesses=("Bob", "Carol"))
    )
    [transcript] = kept
    text = transcript.text()
    for wanted in (
        "Ceremony for root-g1 and issuing-g1",
        "NEVER_EXTRACTABLE=True",
        "test signature",
        "a software token",
        "10.0.0.0/8",
        "Bob",
        "Carol",
        "none was given",
        "cryptography 50",
        transcript.sha256,
    ):
        assert wanted in text, wanted
    for issuer in (outcome.root, outcome.issuing):
        assert x509.load_der_x509_certificate(issuer.certificate).fingerprint(_sha256()).hex() in text
    assert read(transcript.json()) == transcript
    [row] = world.room.store.rows("SELECT body FROM event WHERE action = 'ceremony.performed'")
    entry = json.loads(bytes(row[0]))
    assert entry["detail"]["sha256"] == transcript.sha256
    assert len(entry["detail"]["transcript"]["steps"]) == len(transcript.steps)
    assert b"Bob" not in bytes(row[0]), "names of people stand erasably beside the journal"


def test_a_changed_transcript_is_noticed() -> None:
    scribe = Scribe(lambda: 1_800_000_000)
    scribe.note("root key opened", key="root-g1", attributes={"LOCAL": True})
    document = scribe.finish("Ceremony", (), "").json()
    assert read(document).steps[0].facts["key"] == "root-g1"
    assert "none\n" in read(document).text()
    for changed in (document.replace(b"root-g1", b"root-g2"), document[:-9], b"", b"{}"):
        with pytest.raises(BadRequest):
            read(changed)


def _sha256() -> Any:
    from cryptography.hazmat.primitives.hashes import SHA256

    return SHA256()


# --- what goes wrong in the middle --------------------------------------------------------------


class Broken(Exception):
    """A crash of ours."""


def crash(*_: object, **__: object) -> Any:
    raise Broken


def test_a_crash_before_the_records_leaves_nothing_and_can_be_repeated(world: Any, memory_root: Any) -> None:
    key = memory_root(demo_root())
    with pytest.raises(Broken):
        hold(world.room, demo_root(), PLAN, key, minutes(crash))
    assert world.room.store.issuers() == ()
    assert world.folder.get("roots.pem") is None
    assert actions(world) == []
    assert not hold(world.room, demo_root(), PLAN, key, minutes()).resumed


def test_a_crash_in_the_transaction_leaves_nothing_and_can_be_repeated(
    world: Any, memory_root: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = memory_root(demo_root())
    with monkeypatch.context() as patch:
        patch.setattr(records, "_performed", crash)
        with pytest.raises(Broken):
            hold(world.room, demo_root(), PLAN, key, minutes())
    assert world.room.store.issuers() == ()
    assert world.folder.get("roots.pem") is None
    hold(world.room, demo_root(), PLAN, key, minutes())
    assert len(world.room.store.issuers()) == 2


def test_a_signer_that_dies_before_the_activation_is_no_loss(world: Any, memory_root: Any) -> None:
    """The certificate that was recorded is the one that the signer takes later: there is never a second one."""
    key = memory_root(demo_root())
    archived: list[Transcript] = []

    def stop_signer(transcript: Transcript) -> None:
        archived.append(transcript)
        world.signer.stop()

    with pytest.raises(HSMUnavailable):
        hold(world.room, demo_root(), PLAN, key, minutes(stop_signer))
    assert [one.id for one in world.room.store.issuers()] == ["root-g1"], "nothing is activated half-way"
    recorded = world.folder.get("ca/issuing-g1.cer").body
    world.signer.start()
    outcome = hold(world.room, demo_root(), PLAN, key, minutes(archived.append))
    assert outcome.resumed
    assert outcome.issuing.certificate == recorded
    assert len(archived) == 1


def test_a_crash_between_signer_and_records_is_no_loss(
    world: Any, memory_root: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = memory_root(demo_root())
    with monkeypatch.context() as patch:
        patch.setattr(type(world.room.store), "add_responder", _no_store)
        with pytest.raises(StoreUnavailable):
            hold(world.room, demo_root(), PLAN, key, minutes())
    assert [one.id for one in world.room.store.issuers()] == ["root-g1"]
    assert hold(world.room, demo_root(), PLAN, key, minutes()).resumed
    assert world.room.store.responder("issuing-g1").key_id == "issuing-g1-ocsp-1"


def _no_store(*_: object) -> None:
    raise StoreUnavailable("The disk is full.")


# --- later generations --------------------------------------------------------------------------


def test_issuers_stand_side_by_side_under_one_root(world: Any, memory_root: Any) -> None:
    key = memory_root(demo_root())
    hold(world.room, demo_root(), PLAN, key, minutes())
    second = replace(demo_issuing(("internal",)), id="issuing-g2", common_name="DEMO – DO NOT TRUST Issuing G2")
    outcome = hold(world.room, demo_root(), second, key, minutes())
    assert {one.id for one in world.room.store.issuers()} == {"root-g1", "issuing-g1", "issuing-g2"}
    certificate = x509.load_der_x509_certificate(outcome.issuing.certificate)
    certificate.verify_directly_issued_by(x509.load_der_x509_certificate(outcome.root.certificate))
    assert world.folder.get("roots.pem").version == 1
    assert world.folder.get("crl/root-g1/0000.crl").version == 1


def test_a_generation_is_never_made_twice(world: Any, memory_root: Any) -> None:
    key = memory_root(demo_root())
    hold(world.room, demo_root(), PLAN, key, minutes())
    with pytest.raises(Conflict):
        hold(world.room, demo_root(), PLAN, key, minutes())


def test_another_roots_token_is_noticed(world: Any, memory_root: Any) -> None:
    hold(world.room, demo_root(), PLAN, memory_root(demo_root()), minutes())
    second = replace(demo_issuing(("internal",)), id="issuing-g2")
    with pytest.raises(KeyMismatch):
        hold(world.room, demo_root(), second, memory_root(demo_root()), minutes())
    assert len(world.room.store.issuers()) == 2


def test_kc08_a_root_key_that_does_not_fit_its_public_part_is_noticed(world: Any, memory_root: Any) -> None:
    key = memory_root(demo_root())
    wrong = replace(key, record=replace(key.record, spki=memory_root(demo_root()).record.spki))
    with pytest.raises(KeyMismatch):
        hold(world.room, demo_root(), PLAN, wrong, minutes())
    assert world.room.store.issuers() == ()


# --- a root in a token of its own ---------------------------------------------------------------

SCRIPT = """
import sys
from pathlib import Path
from ca.ceremony.plans import demo_root
from ca.ceremony.root_key import open_root_key
from ca.ceremony.certificates import root_certificate
from ca.keys.softhsm import provision_softhsm
from ca.keys.token import Token
module, folder = sys.argv[1], Path(sys.argv[2])
environment = provision_softhsm(folder, "root", "12345678", module)
token = Token.open(module, "root", "12345678", environment=environment)
key = open_root_key(token, demo_root(), lambda: 1_800_000_000)
root_certificate(demo_root(), key.private, 1_800_000_000)
print(key.record.spki.hex(), key.record.software, key.record.attributes["NEVER_EXTRACTABLE"])
"""


def test_kc02_the_roots_key_is_made_in_its_token_and_found_again(request: Any, tmp_path: Path) -> None:
    module = request.getfixturevalue("module")
    said = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT, module, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=30
        )
        for _ in range(2)
    ]
    assert said[0].returncode == 0, said[0].stderr
    assert said[0].stdout == said[1].stdout
    assert said[0].stdout.split()[1:] == ["True", "True"]


# --- plans --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"permitted": ()},
        {"permitted": ("test",), "unconstrained": True},
        {"permitted": ("test",), "id": "Issuing"},
        {"permitted": ("test",), "id": "a/b"},
        {"permitted": ("test",), "common_name": "x" * 65},
        {"permitted": ("test",), "algorithm": "rsa-1024"},
        {"permitted": ("test",), "shards": 0},
    ],
)
def test_x12_an_issuing_plan_without_constraints_or_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        IssuingPlan(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"crl_life": 400 * 86400},
        {"crl_overlap": 365 * 86400},
        {"spares": -1},
        {"algorithm": "rsa-2048"},
        {"id": ""},
    ],
)
def test_b03_kc06_a_root_plan_without_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        RootPlan(**fields)
