"""Every command on a real CA, as a user types it: what it answers, what it changes, what it refuses."""

import json
import os
import re
import socket
import stat
import threading
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from acme_server.courses.terms import Terms
from acme_server.records import Account, AccountStatus, Order, OrderStatus
from acme_server.tables import Accounts, Orders
from ca import config
from ca.authority import open_authority
from ca.records import Name, NameKind
from ca.store import open_store
from cli import main

pytestmark = pytest.mark.slow


def make_csr(path: Path, *names: str, key=None, ca: bool = False) -> Path:
    request = x509.CertificateSigningRequestBuilder(x509.Name([])).add_extension(
        x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=True
    )
    if ca:
        request = request.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    signed = request.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    path.write_bytes(signed.public_bytes(Encoding.PEM))
    return path


@pytest.fixture
def issued(ca, tmp_path):
    """A fresh certificate, as `cert issue --json` tells of it."""
    return ca.json("cert", "issue", "--new-key", tmp_path / "fresh.key", "--name", "fresh.test")


# --- the hierarchy ------------------------------------------------------------------------------


def test_ca_list_calls_a_software_token_software(ca):
    rows = ca.json("ca", "list")
    assert [(row["id"], row["kind"], row["parent"]) for row in rows] == [
        ("root-g1", "root", None),
        ("issuing-g1", "issuing", "root-g1"),
    ] or [row["id"] for row in rows] == ["issuing-g1", "root-g1"]
    assert {row["token"] for row in rows} == {"software token"}
    assert "software token" in ca.run("ca", "list").stdout


def test_ca_show_names_its_constraints(ca):
    shown = ca.json("ca", "show", "issuing-g1")
    assert {"localhost", "test", "internal", "10.0.0.0/8"} <= set(shown["permitted"])
    certificate = x509.load_pem_x509_certificate(ca.run("ca", "show", "issuing-g1", "--pem").stdout.encode())
    assert certificate.fingerprint(hashes.SHA256()).hex(":").upper() == shown["sha256"]
    assert "DO NOT TRUST" in shown["subject"]


def test_an_issuer_that_is_not_there(ca):
    assert "issuing-g9" in ca.run("ca", "show", "issuing-g9", ok=3).stderr


def test_a_second_ceremony_of_the_same_generation_is_refused(ca):
    refused = ca.run("ca", "init", "--root-dir", ca.place.root_token, "--yes", ok=1)
    assert "exists already" in refused.stderr


def test_the_transcript_is_a_file_and_an_event(ca):
    transcript = json.loads((ca.place.path / "ceremony-issuing-g1.json").read_text())
    events = [json.loads(line) for line in ca.run("audit", "export").stdout.splitlines()]
    [performed] = [event for event in events if event["action"] == "ceremony.performed"]
    assert performed["detail"]["sha256"] == transcript["sha256"]
    assert (ca.place.path / "ceremony-issuing-g1.txt").read_text().startswith("Ceremony for root-g1 and issuing-g1")


def test_dry_run_of_a_ceremony_changes_nothing(blank):
    plan = blank.json("ca", "init", "--root-dir", blank.place.path / "elsewhere", "--dry-run")
    assert plan["dry_run"] is True
    assert plan["issuer"] == "issuing-g1"
    assert not (blank.place.path / "elsewhere").exists()
    assert not (blank.place.path / "state").exists()


def test_production_without_constraints_is_refused_unless_told(blank):
    blank.place.configuration.write_text(
        re.sub(r"permitted_names = \[.*?\]", "", blank.place.configuration.read_text(), flags=re.DOTALL).replace(
            'mode = "demo"', 'mode = "production"'
        )
    )
    refused = blank.run("ca", "init", "--root-dir", blank.place.path / "root", "--dry-run", ok=2)
    assert "--unconstrained" in refused.stderr
    plan = blank.json("ca", "init", "--root-dir", blank.place.path / "root", "--dry-run", "--unconstrained")
    assert "everything" in plan["permitted"]


def test_keys_were_made_in_the_token_and_never_leave_it(ca):
    """KC-02"""
    rows = {row["id"]: row for row in ca.json("key", "list")}
    assert {"root-g1", "issuing-g1", "issuing-g1-ocsp-1", "journal-g1"} <= set(rows)
    for name in rows:
        attributes = ca.json("key", "show", name)["attributes"]
        assert (attributes["SENSITIVE"], attributes["EXTRACTABLE"], attributes["LOCAL"]) == (True, False, True)
    ca.run("key", "show", "nothing", ok=3)


def test_a_software_token_is_made_and_the_configuration_for_it_is_printed(blank):
    """What somebody without an HSM types; each step says the next one."""
    place = blank.place.path / "own"
    assert "accept_software_token = true" in blank.run("key", "provision", place).stdout
    made = blank.json("key", "provision", place)
    assert str(place / "softhsm2.conf") in made["hsm"][1]
    assert (place / "softhsm2.conf").exists()


def test_unlock_without_a_refused_pin_says_so(ca):
    assert "nothing to unlock" in ca.run("key", "unlock", "--yes").stdout


# --- issue --------------------------------------------------------------------------------------


def test_issue_for_a_new_key(ca, tmp_path):
    key, out = tmp_path / "new.key", tmp_path / "new.pem"
    ca.run("cert", "issue", "--new-key", key, "--name", "a.test", "--name", "10.1.2.3", "--out", out, "--owner", "me")
    leaf, *rest = x509.load_pem_x509_certificates(out.read_bytes())
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert [one.subject.rfc4514_string() for one in rest] == ["CN=DEMO – DO NOT TRUST Issuing G1"]
    leaf.verify_directly_issued_by(rest[0])
    shown = ca.json("cert", "show", out)
    assert shown["names"] == ["a.test", "10.1.2.3"]
    assert shown["owner"] == "me"


def test_issue_for_a_csr_prints_the_chain(ca, tmp_path):
    done = ca.run("cert", "issue", make_csr(tmp_path / "x.csr", "b.test"), "--profile", "mtls", "--validity", "2d")
    leaf = x509.load_pem_x509_certificates(done.stdout.encode())[0]
    assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).total_seconds() == 2 * 86400 - 1
    assert "issued" in done.stderr
    assert ca.run("cert", "issue", tmp_path / "x.csr", "--quiet").stderr == ""


def test_a_renewal_is_of_the_same_kind_and_says_what_it_replaces(ca, tmp_path):
    names = ("--name", "r.test", "--name", "10.9.8.7")
    kept = ("--profile", "mtls", "--owner", "pay", "--tag", "env=prod")
    first = ca.json("cert", "issue", "--new-key", tmp_path / "1.key", *names, *kept)
    second = ca.json("cert", "renew", first["serial"], "--new-key", tmp_path / "2.key")
    shown = ca.json("cert", "show", second["serial"])
    assert shown["replaces"] == first["serial"] != second["serial"]
    assert shown["tags"] == ["env=prod"]
    for name in ("names", "profile", "owner", "issuer"):
        assert second[name] == first[name], name
    assert (tmp_path / "1.key").read_bytes() != (tmp_path / "2.key").read_bytes()
    assert ca.json("cert", "show", first["serial"])["status"] == "valid"

    (tmp_path / "second.pem").write_text(second["chain"])
    third = ca.run("cert", "renew", tmp_path / "second.pem", "--new-key", tmp_path / "3.key", "--validity", "2d")
    leaf = x509.load_pem_x509_certificates(third.stdout.encode())[0]
    assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).total_seconds() == 2 * 86400 - 1


def test_a_renewal_by_a_csr_names_the_same_names(ca, issued, tmp_path):
    same, other = (
        make_csr(tmp_path / "same.csr", "fresh.test"),
        make_csr(tmp_path / "other.csr", "fresh.test", "x.test"),
    )
    assert ca.json("cert", "renew", issued["serial"], same)["replaces"] == issued["serial"]
    assert "other names" in ca.run("cert", "renew", issued["serial"], other, ok=2).stderr


def test_what_is_not_renewed(ca, issued, tmp_path):
    before = ca.json("cert", "list")
    would = ca.json("cert", "renew", issued["serial"], "--new-key", tmp_path / "k", "--dry-run")
    assert (would["names"], would["profile"]) == (["fresh.test"], "server")
    ca.run("cert", "renew", issued["serial"], ok=2)
    ca.run("cert", "renew", "01ab", "--new-key", tmp_path / "k", ok=3)
    assert ca.json("cert", "list") == before
    ca.run("cert", "revoke", issued["serial"], "--yes")
    assert "revoked" in ca.run("cert", "renew", issued["serial"], "--new-key", tmp_path / "k", ok=1).stderr
    assert not (tmp_path / "k").exists()


@pytest.mark.parametrize(
    ("names", "other", "code", "words"),
    [
        (["evil.example.com"], {}, 4, "outside"),
        (["x.test"], {"ca": True}, 2, "CA"),
        (["x.test"], {"key": rsa.generate_private_key(65537, 1024)}, 2, "1024"),
        (["under_score.test"], {}, 2, ""),
    ],
)
def test_bad_csrs_are_refused_with_a_reason(ca, tmp_path, names, other, code, words):
    before = len(ca.json("cert", "list"))
    refused = ca.run("cert", "issue", make_csr(tmp_path / "bad.csr", *names, **other), ok=code)
    assert words in refused.stderr
    assert len(ca.json("cert", "list")) == before


@pytest.mark.parametrize("junk", [b"", b"junk", b"-----BEGIN CERTIFICATE REQUEST-----\n", b"0" * 10_000_000])
def test_junk_instead_of_a_csr(ca, tmp_path, junk):
    (tmp_path / "junk").write_bytes(junk)
    assert "error" in ca.run("cert", "issue", tmp_path / "junk", ok=2).stderr


def test_a_refused_request_leaves_no_key_behind(ca, tmp_path):
    ca.run("cert", "issue", "--new-key", tmp_path / "no.key", "--name", "evil.example.com", ok=4)
    assert not (tmp_path / "no.key").exists()


def test_a_key_is_never_overwritten(ca, tmp_path):
    (tmp_path / "mine.key").write_text("precious")
    refused = ca.run("cert", "issue", "--new-key", tmp_path / "mine.key", "--name", "c.test", ok=1)
    assert "File exists" in refused.stderr
    assert (tmp_path / "mine.key").read_text() == "precious"


def test_a_chain_that_cannot_be_written_is_refused_before_anything_is_signed(ca, tmp_path):
    """Over its own key it would be worth nothing, and a certificate that nobody was given is a riddle later."""
    before = ca.json("cert", "list")
    key = tmp_path / "new.key"
    for out, words in ((key, "same file"), (tmp_path, "nothing was issued"), (tmp_path / "no" / "c", "nothing was")):
        assert words in ca.run("cert", "issue", "--new-key", key, "--name", "o.test", "--out", out, ok=2).stderr
        assert not key.exists()
    assert ca.json("cert", "list") == before


@pytest.mark.parametrize("validity", ["0s", "0", "99999999999999999999d"])
def test_a_duration_that_cannot_be_meant_is_usage(ca, tmp_path, validity):
    words = ("cert", "issue", "--new-key", tmp_path / "k", "--name", "v.test", "--validity", validity)
    assert "--validity" in ca.run(*words, ok=2).stderr
    assert "--within" in ca.run("cert", "list", "--status", "expiring", "--within", validity, ok=2).stderr


def test_dry_run_of_an_issuance_changes_nothing(ca, tmp_path):
    before = ca.json("cert", "list"), ca.run("audit", "export").stdout
    would = ca.json("cert", "issue", "--new-key", tmp_path / "dry.key", "--name", "d.test", "--dry-run")
    assert (would["issuer"], would["names"]) == ("issuing-g1", ["d.test"])
    assert not (tmp_path / "dry.key").exists()
    assert (ca.json("cert", "list"), ca.run("audit", "export").stdout) == before


def test_usage_of_issue(ca, tmp_path):
    assert "--new-key" in ca.run("cert", "issue", ok=2).stderr
    assert "--name" in ca.run("cert", "issue", "--new-key", tmp_path / "k", ok=2).stderr


# --- find ---------------------------------------------------------------------------------------


def test_list_is_the_array_that_the_contract_describes(ca, issued):
    rows = ca.json("cert", "list")
    one = next(row for row in rows if row["serial"] == issued["serial"])
    assert re.fullmatch(r"([0-9a-f]{2})+", one["serial"])
    assert re.fullmatch(r"[0-9a-f]{64}", one["sha256"])
    assert (one["status"], one["profile"], one["names"]) == ("valid", "server", ["fresh.test"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", one["not_before"])
    assert one["not_before"] < one["not_after"]
    assert one["revoked_at"] is None
    assert one["reason"] is None


def test_list_filters_and_limits(ca, issued):
    assert all(row["names"] == ["fresh.test"] for row in ca.json("cert", "list", "--name", "fresh.test"))
    assert ca.json("cert", "list", "--name", "nobody.test") == []
    assert len(ca.json("cert", "list", "--limit", "1")) == 1
    assert "No certificate matches" in ca.run("cert", "list", "--name", "nobody.test").stdout
    ca.run("cert", "list", "--status", "lost", ok=2)


@pytest.mark.parametrize("by", ["serial", "sha256", "upper", "file"])
def test_show_by_whatever_names_it(ca, issued, tmp_path, by):
    (tmp_path / "chain.pem").write_text(issued["chain"])
    named = {"upper": issued["serial"].upper(), "file": tmp_path / "chain.pem"}.get(by) or issued[by]
    assert ca.json("cert", "show", named)["sha256"] == issued["sha256"]


@pytest.mark.parametrize(("named", "code"), [("01ab", 3), ("no serial", 2), ("f" * 64, 3)])
def test_show_what_is_not_there(ca, named, code):
    assert "next" in ca.run("cert", "show", named, ok=None).stderr or code == 3
    ca.run("cert", "show", named, ok=code)


def test_no_orphans(ca):
    assert ca.json("cert", "orphans") == []


# --- owner --------------------------------------------------------------------------------------


def test_a_certificate_and_all_of_a_team_are_handed_over(ca, issued):
    serial = issued["serial"]
    assert ca.json("cert", "assign", serial, "--owner", "old crew", "--dry-run")["certificates"] == 1
    assert ca.json("cert", "show", serial)["owner"] == ""
    assert "handed over 1" in ca.run("cert", "assign", serial, "--owner", "old crew", "--yes").stdout
    moved = ca.json("cert", "assign", "--from", "old crew", "--owner", "new crew", "--yes")
    assert moved == {"owner": "new crew", "certificates": 1}
    assert [one["serial"] for one in ca.json("cert", "list", "--owner", "new crew")] == [serial]
    assert "certificate.handed-over" in ca.run("audit", "export").stdout


@pytest.mark.parametrize(("words", "owner"), [((), "x"), (("--from", "a", "01"), "x"), (("01",), " ")])
def test_what_cannot_be_handed_over(ca, words, owner):
    assert "next: " in ca.run("cert", "assign", *words, "--owner", owner, ok=2).stderr


def test_certificates_are_tagged_when_issued_and_later(ca, tmp_path):
    key = tmp_path / "t.key"
    one = ca.json("cert", "issue", "--new-key", key, "--name", "t.test", "--tag", "env=prod", "--tag", "critical")
    assert ca.json("cert", "show", one["serial"])["tags"] == ["critical", "env=prod"]
    assert ca.json("cert", "tag", one["serial"], "--set", "env=test", "--dry-run")["certificates"] == 1
    assert ca.json("cert", "tag", one["serial"], "--set", "env=test", "--off", "critical") == {"changed": 1}
    assert [found["serial"] for found in ca.json("cert", "list", "--tag", "env=test")] == [one["serial"]]
    assert ca.json("cert", "list", "--tag", "critical") == []
    assert "next: " in ca.run("cert", "tag", one["serial"], "--set", "No Tag", ok=2).stderr
    assert "next: " in ca.run("cert", "tag", one["serial"], ok=2).stderr


# --- revoke -------------------------------------------------------------------------------------


def test_revoke_asks_first(ca, issued):
    refused = ca.run("cert", "revoke", issued["serial"], ok=2)
    assert "--yes" in refused.stderr
    assert ca.json("cert", "show", issued["serial"])["status"] == "valid"
    assert ca.json("cert", "revoke", issued["serial"], "--dry-run")["dry_run"] is True
    assert ca.json("cert", "show", issued["serial"])["status"] == "valid"


def shard_entries(installation) -> int:
    """Entries of the one shard; the full CRL beside it follows on its schedule."""
    lists = {one["path"]: one for one in installation.json("crl", "show", "issuing-g1")}
    return lists["crl/issuing-g1/0000.crl"]["entries"]


def test_revoke_is_published_when_it_returns_and_ocsp_and_crl_agree(ca, issued, eventually):
    """INC-04, B-02"""
    eventually(lambda: ca.check("status plane")["level"] == "ok")
    assert ca.json("ocsp", "check", issued["serial"])["status"] == "good"
    revoked = ca.json("cert", "revoke", issued["serial"], "--reason", "keyCompromise", "--yes")
    assert revoked["published_in"] < 5
    told = ca.json("ocsp", "check", issued["serial"], ok=1)
    assert (told["status"], told["reason"], told["revoked_at"]) == ("revoked", "keyCompromise", revoked["revoked_at"])
    assert shard_entries(ca) >= 1
    shown = ca.json("cert", "show", issued["serial"])
    assert (shown["status"], shown["reason"], shown["revoked_at"]) == (
        "revoked",
        "keyCompromise",
        revoked["revoked_at"],
    )
    assert "already" in ca.run("cert", "revoke", issued["serial"], "--yes", ok=1).stderr


def test_ocsp_knows_no_short_lived_certificate(ca, tmp_path, eventually):
    eventually(lambda: ca.check("status plane")["level"] == "ok")
    one = ca.json("cert", "issue", "--new-key", tmp_path / "s.key", "--name", "s.test", "--profile", "short-lived")
    ca.run("ocsp", "check", one["serial"], ok=3)


@pytest.mark.parametrize(("url", "code"), [("junk", 2), ("file:///etc/passwd", 2), ("http://[::1", 1)])
def test_ocsp_asks_only_where_there_can_be_a_responder(ca, issued, url, code):
    told = ca.run("ocsp", "check", issued["serial"], "--url", url, ok=code).stderr
    assert url in told
    assert "next: " in told


def test_ocsp_tells_of_a_door_that_speaks_no_http(ca, issued):
    def answer() -> None:
        with door.accept()[0] as asked:
            asked.recv(4096)  # an answer before the question would be a broken pipe to who asks
            asked.sendall(b"\x15\x03\x01\r\n")

    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=answer, daemon=True).start()
        url = f"http://127.0.0.1:{door.getsockname()[1]}/"
        told = ca.run("ocsp", "check", issued["serial"], "--url", url, ok=1).stderr
        assert f"{url} gave no answer: \\x15" in told, "control characters of a stranger do not reach a terminal"


def test_crls_of_an_issuer_that_is_not_there(ca):
    assert "issuing-g9" in ca.run("crl", "show", "issuing-g9", ok=3).stderr


def test_crl_publish_says_what_is_due(ca):
    assert ca.json("crl", "publish", "--dry-run") == {"dry_run": True, "due": []}
    assert ca.json("crl", "publish") == {"published": 0, "refused": 0}


# --- profiles, tokens, trust ----------------------------------------------------------------------


def test_profile_bench_says_which_rule_decides(ca, tmp_path):
    assert set(ca.json("profile", "list")) == {"server", "client", "mtls", "short-lived"}
    assert ca.json("profile", "test", "server", make_csr(tmp_path / "g.csr", "g.test"))["passes"] is True
    refused = ca.run("profile", "test", "server", make_csr(tmp_path / "h.csr", "h.example"), ok=4)
    assert "ca.permitted_names" in refused.stderr
    ca.run("profile", "test", "nothing", tmp_path / "g.csr", ok=3)


def test_a_token_lives_and_dies(ca):
    made = ca.json("token", "create", "ci", "--profile", "server", "--allow", "**.ci.internal", "--life", "7d")
    assert made["secret"].startswith("cw_")
    [listed] = [one for one in ca.json("token", "list") if one["id"] == made["id"]]
    assert listed["status"] == "active"
    assert made["secret"] not in json.dumps(listed)
    ca.run("token", "revoke", made["id"], "--yes")
    [listed] = [one for one in ca.json("token", "list") if one["id"] == made["id"]]
    assert listed["status"] == "revoked"
    ca.run("token", "revoke", "nothing", "--yes", ok=3)
    assert made["secret"] not in ca.run("audit", "export").stdout


def test_a_token_of_more_than_ninety_days_is_refused(ca):
    words = ("token", "create", "ci", "--profile", "server", "--allow", "a.test", "--life", "91d")
    assert "90" in ca.run(*words, ok=2).stderr


def test_a_demo_is_trusted_by_nobody(ca):
    assert "demo" in ca.run("trust", "install", ok=4).stderr


def test_acme_lists_tell_what_went_wrong(ca):
    store = open_store(config.load(ca.place.configuration))
    names = (Name(NameKind.DNS, "a.test"), Name(NameKind.DNS, "b.test"))
    error = json.dumps({"detail": "a.test answered 404", "type": "urn:ietf:params:acme:error:unauthorized"})
    Accounts(store).add(Account("acc1", "thumb", "{}", AccountStatus.VALID, ("mailto:a@a.test",), "", 1_800_000_000))
    for number, status in enumerate((OrderStatus.INVALID, OrderStatus.PENDING)):
        order = Order(f"o{number}", "acc1", status, "server", names, (), 0, 0, 4_000_000_000, 1_800_000_000 + number)
        terms = None if status == "invalid" else Terms(0, 1_900_000_000, 86400)
        Orders(store).add(replace(order, error=error if status == "invalid" else "", auto_renewal=terms))
    store.close()
    [account] = ca.json("acme", "account", "list")
    assert (account["id"], account["status"], account["contact"]) == ("acc1", "valid", ["mailto:a@a.test"])
    rows = ca.json("acme", "order", "list")
    assert [(row["id"], row["status"], row["why"]) for row in rows] == [
        ("o1", "pending", None),
        ("o0", "invalid", "a.test answered 404"),
    ]
    assert [row["renews_until"] for row in rows] == ["2030-03-17T17:46:40Z", None]
    assert "a.test answered 404" in ca.run("acme", "order", "list", "--account", "acc1").stdout
    assert ca.json("acme", "order", "list", "--account", "acc2") == []


# --- journal, configuration, database -------------------------------------------------------------


def test_the_journal_is_whole_and_tells_of_each_deed(ca, issued):
    verified = ca.json("audit", "verify")
    assert verified["whole"] is True
    assert verified["signed_at"].endswith("Z")  # times are RFC 3339 outside (CONTRACT.md)
    lines = ca.run("audit", "export", "--json").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    target = f"certificate:issuing-g1:{issued['serial']}"
    assert [event["action"] for event in events if event["object"] == target] == [
        "issuance.intended",
        "certificate.issued",
    ]
    assert ca.json("audit", "tail", "-n", "1")[0]["object"] == target
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", events[0]["at"])


def sequence(ca):
    """What the scheduler does each second."""
    with mock.patch.dict(os.environ, ca.environment):
        authority = open_authority(config.load(ca.place.configuration))
        authority.sequence_journal()
        authority.store.close()


def test_a_proof_of_issuance_convinces_who_has_only_the_key(ca, issued, tmp_path):
    ca.run("audit", "prove", issued["serial"], "--out", tmp_path / "early", ok=3)
    sequence(ca)
    told = ca.run("audit", "prove", issued["serial"], "--out", tmp_path / "proof").stdout
    said = json.loads((ca.place.path / "ceremony-issuing-g1.json").read_text())["transcript"]
    [key] = [one["facts"]["spki_sha256"] for one in said["steps"] if one["facts"].get("key") == "journal-g1"]
    assert key in told
    assert ca.json("key", "show", "journal-g1")["spki_sha256"] == key
    (tmp_path / "leaf.pem").write_text(issued["chain"])

    outside = replace(ca, place=replace(ca.place, path=tmp_path / "nothing"))
    words = ("audit", "verify", "--proof", tmp_path / "proof", "--key", key)
    shown = outside.json(*words, "--certificate", tmp_path / "leaf.pem")
    assert shown["holds"]
    assert shown["entry"]["object"] == f"certificate:issuing-g1:{issued['serial']}"
    assert "it is the issuance" in outside.run(*words, "--certificate", tmp_path / "leaf.pem").stdout
    assert "not by the one that you trust" in outside.run(*words[:-1], "00" * 32, ok=1).stderr
    assert "neither a SHA-256" in outside.run(*words[:-1], "mine", ok=2).stderr
    foreign = ca.json("cert", "issue", "--new-key", tmp_path / "b.key", "--name", "b.test")["chain"]
    (tmp_path / "b.pem").write_text(foreign)
    assert "not of the certificate" in outside.run(*words, "--certificate", tmp_path / "b.pem", ok=1).stderr


def test_a_proof_of_any_event_by_its_id(ca):
    newest = ca.json("audit", "tail", "-n", "1")[0]["id"]
    sequence(ca)
    made = json.loads(ca.run("audit", "prove", "--event", newest).stdout)
    assert made["format"] == "certwright-journal-proof-1"
    ca.run("audit", "prove", "--event", 10**9, ok=3)
    for words in (
        ("prove",),
        ("prove", "00", "--event", "1"),
        ("verify", "--key", "00"),
        ("verify", "--proof", __file__),
    ):
        ca.run("audit", *words, ok=2)


def test_an_export_of_the_ledger_that_is_none(ca, tmp_path):
    (tmp_path / "junk").write_bytes(bytes(range(256)))
    told = ca.run("audit", "reconcile", "--export", tmp_path / "junk", ok=1).stderr
    assert "ledger" in told
    assert "did not foresee" not in told


def test_configuration_tells_origins_and_hides_passwords(ca, tmp_path):
    shown = ca.json("config", "show", "--origin")
    assert shown["mode"] == {"value": "demo", "origin": "file"}
    assert shown["server.workers"] == {"value": 2, "origin": "default"}
    assert ca.json("config", "check")["profiles"]
    other = tmp_path / "other.toml"
    other.write_text('mode = "demo"\n[database]\nurl = "postgresql://ca:geheim@db/ca"\n')
    assert "geheim" not in ca.run("config", "show", "--config", other).stdout


def test_the_environment_wins_over_the_file(ca, monkeypatch):
    environment = type(ca).environment
    monkeypatch.setattr(
        type(ca), "environment", property(lambda self: {**environment.fget(self), "CERTWRIGHT_SERVER__WORKERS": "7"})
    )
    assert ca.json("config", "show", "--origin")["server.workers"] == {"value": 7, "origin": "environment"}


def test_a_wrong_key_is_named_with_the_nearest(ca, tmp_path):
    (tmp_path / "wrong.toml").write_text('mode = "demo"\n[server]\nhttps_lissten = "127.0.0.1:1"\n')
    refused = ca.run("config", "check", "--config", tmp_path / "wrong.toml", ok=2)
    assert "server.https_listen" in refused.stderr
    assert "config show --defaults" in refused.stderr
    known = ca.json("config", "show", "--defaults", "--config", tmp_path / "wrong.toml")
    assert known["server.https_listen"]["default"] == "127.0.0.1:8443"
    assert set(known) == set(config.keys()) - {"profiles", "targets", "channels", "roles"}


def test_database_up_to_date(ca):
    assert ca.json("db", "status") == {"pending": []}
    assert ca.json("db", "migrate") == {"applied": [], "dry_run": False}


def test_a_process_alone_never_changes_tables(blank):
    for kind in ("scheduler", "web"):
        refused = blank.run("serve", "--only", kind, ok=1)
        assert "certwright db migrate" in refused.stderr
    assert not (blank.place.path / "state" / "certwright.sqlite").exists()


# --- faults ---------------------------------------------------------------------------------------


def test_a_wrong_pin_is_tried_once_and_named(blank):
    blank.place.pin.write_text("9999\n")
    refused = blank.run("ca", "init", "--root-dir", blank.place.root_token, "--yes", ok=5)
    assert "PIN" in refused.stderr
    assert "key unlock" in refused.stderr
    assert (
        "refused this PIN before" in blank.run("ca", "init", "--root-dir", blank.place.root_token, "--yes", ok=5).stderr
    )


@pytest.mark.slow
def test_a_pin_that_others_can_read_is_refused(blank):
    blank.place.pin.chmod(0o644)
    assert "chmod 600" in blank.run("ca", "init", "--root-dir", blank.place.root_token, "--yes", ok=5).stderr
    assert blank.check("pin")["level"] == "fail"


@pytest.mark.slow
def test_a_missing_module_is_named(blank):
    text = blank.place.configuration.read_text()
    blank.place.configuration.write_text(text.replace("libsofthsm2.so", "nothing.so"))
    assert "nothing.so" in blank.run("ca", "init", "--root-dir", blank.place.root_token, "--yes", ok=5).stderr
    assert blank.check("module")["level"] == "fail"


def test_the_pin_that_was_corrected_works_after_unlock(blank):
    right = blank.place.pin.read_text()
    blank.place.pin.write_text("9999\n")
    blank.start("signer")
    assert blank.json("key", "unlock", "--dry-run")["pin_refused"] is True
    blank.place.pin.write_text(right)
    blank.run("key", "unlock", "--yes")
    blank.run("ca", "init", "--root-dir", blank.place.root_token, "--yes")


def test_without_a_signer_a_revocation_stands(blank, tmp_path):
    """HOUSE §4: HSM down, the revocation stands and the marks stay."""
    blank.run("ca", "init", "--root-dir", blank.place.root_token, "--yes")
    blank.start("signer")
    one = blank.json("cert", "issue", "--new-key", tmp_path / "k", "--name", "k.test")
    blank.stop("signer")
    refused = blank.run("cert", "issue", "--new-key", tmp_path / "l", "--name", "l.test", ok=5)
    assert "certwright serve" in refused.stderr
    assert blank.json("cert", "revoke", one["serial"], "--yes")["published_in"] is None
    assert blank.json("cert", "show", one["serial"])["status"] == "revoked"
    assert blank.json("crl", "publish", "--dry-run")["due"] == ["issuing-g1/0000"]
    blank.start("signer")
    assert blank.json("crl", "publish")["published"] == 1
    assert shard_entries(blank) == 1


def test_no_secret_is_in_any_output(ca):
    """KEY_MANAGEMENT row 120"""
    secrets = [ca.place.pin.read_text().strip(), ca.place.root_pin.read_text().strip()]
    texts = [path.read_text(errors="replace") for path in ca.place.path.glob("*.log")]
    texts += [
        ca.run(*name.split(), ok=None).stdout for name in main.COMMANDS if name.endswith(("list", "show", "status"))
    ]
    texts += [ca.run("audit", "export").stdout, (ca.place.path / "ceremony-issuing-g1.json").read_text()]
    for secret in secrets:
        assert all(secret not in text for text in texts)
