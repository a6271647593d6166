"""The screens through Flask's client over a real CA: home, certificates, one certificate, audit; and who may what."""

import csv as tables
import html
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote_plus, urlencode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7
from flask import Flask

from ca.authority import Authority, backups
from ca.authority.lights import LIGHTS, lights
from ca.authority.seat import Seat
from ca.authority.survey import count, survey, take_survey
from ca.channels import ChatChannel
from ca.config import Config
from ca.console import RoleConfig
from ca.errors import JournalBroken
from ca.journal import proof
from ca.people import BESIDE, ROLES, Right
from ca.records import Certificate, Reason, serial_hex
from tests.ca.authority.world import a_request
from tests.web.desk import csr, make_token, pem
from tests.web.ui_people import OPERATOR, Browser, signed_in

pytestmark = pytest.mark.slow


@pytest.fixture
def ui(authority: Authority) -> Flask:
    """The application with the UI's door."""
    from web.app import create_app

    return create_app(authority, frozenset({"ui"}))


def issue(authority: Authority, *names: str, **more: object) -> Certificate:
    return authority.issue(replace(a_request(*names), **more))


def path_of(one: Certificate) -> str:
    return f"/ui/certificates/{serial_hex(one.serial)}"


# --- who may what -------------------------------------------------------------------------------

OPEN = {
    *("static", "sign_in", "link", "use_link", "passkey_options", "use_passkey", "use_password"),
    *("sign_on_at_provider", "signed_on", "show_certificate", "shown_certificate"),
}
"""For people who are not signed in."""

OWN = {
    "nowhere",
    *("sign_out", "confirm", "confirm_options", "confirm_by_passkey", "confirm_by_password"),
    "confirm_at_provider",
    *("enrol", "new_passkey", "add_passkey", "add_password"),
    *("account", "remove_passkey", "give_certificate_up", "end_sign_in", "set_theme"),
}
"""What concerns the person alone."""

NEEDS = {
    "home": Right.SEE,
    "certificates": Right.SEE,
    "export": Right.SEE,
    "certificate": Right.SEE,
    "download": Right.SEE,
    "proof_of_issuance": Right.SEE_JOURNAL,
    "check": Right.SEE,
    "revoke": Right.REVOKE_OWN,
    "revoke_some": Right.REVOKE_MANY,
    "saved": Right.SEE,
    "save_view": Right.SEE,
    "change_view": Right.SEE,
    "delete_view": Right.SEE,
    "keep_some": Right.KEEP_OWN,
    "hand_over": Right.KEEP_OWN,
    "tag": Right.KEEP_OWN,
    "revocations": Right.SEE,
    "many": Right.REVOKE_MANY,
    "propose_many": Right.REVOKE_MANY,
    "revoke_alone": Right.REVOKE_MANY,
    "stop_mass": Right.REVOKE_MANY,
    "credentials": Right.SEE,
    "end_token": Right.MANAGE_TOKENS,
    "end_binding": Right.MANAGE_TOKENS,
    "profiles": Right.SEE,
    "issue": Right.SEE,
    "test_csr": Right.SEE,
    "issue_csr": Right.ISSUE,
    "keymaker": Right.ISSUE,
    "issue_here": Right.ISSUE,
    "orders": Right.SEE,
    "accounts": Right.SEE,
    "order": Right.SEE,
    "connect": Right.SEE,
    "authorities": Right.SEE,
    "authority": Right.SEE,
    "publication": Right.SEE,
    "reports": Right.SEE,
    "report_file": Right.SEE,
    "jobs": Right.SEE,
    "run_job": Right.RUN_JOBS,
    "told": Right.SEE,
    "try_channel": Right.RUN_JOBS,
    "people": Right.SEE_PEOPLE,
    "propose_person": Right.MANAGE_PEOPLE,
    "disable": Right.MANAGE_PEOPLE,
    "enable": Right.MANAGE_PEOPLE,
    "unbind_certificate": Right.MANAGE_PEOPLE,
    "approvals": Right.SEE_PEOPLE,
    "proposal": Right.SEE_PEOPLE,
    "approve_options": Right.APPROVE,
    "approve": Right.APPROVE,
    "refuse": Right.SEE_PEOPLE,
    "audit": Right.SEE_JOURNAL,
    "verify": Right.SEE_JOURNAL,
    "verification": Right.SEE_JOURNAL,
    "export_events": Right.SEE_JOURNAL,
}
"""Every other door of the UI with the right that it takes."""

ARGUMENTS = {
    "kind": "csv",
    "file": "csv",
    "serial": "01",
    "filename": "icon.svg",
    "passkey_id": "x",
    "sha256": "x",
    "sign_in_id": "x",
    "issuer_id": "issuing-g1",
    "order_id": "x",
    "proposal_id": "x",
    "name": "nobody",
    "channel": "nowhere",
    "mass_id": "x",
    "view_id": "x",
    "token_id": "x",
    "credential_id": "x",
    "_unknown": "no/such/page",
}


def routes(ui: Flask) -> dict[str, tuple[str, str]]:
    """Method and path of every endpoint of the UI."""
    found = {}
    for rule in ui.url_map.iter_rules():
        if rule.endpoint.startswith("ui."):
            method = "POST" if "POST" in rule.methods else "GET"
            path = re.sub(r"<(?:\w+:)?(\w+)>", lambda name: ARGUMENTS[name[1]], rule.rule)
            found[rule.endpoint.removeprefix("ui.")] = (method, path)
    return found


def test_every_door_has_its_line_here(ui: Flask) -> None:
    assert set(routes(ui)) == OPEN | OWN | set(NEEDS)


def test_where_no_page_is_a_page_says_so(ui: Flask, authority: Authority) -> None:
    answer = signed_in(ui, authority, "viewer").get("/ui/certificats/01")
    assert answer.status_code == 404
    assert "There is no such page." in answer.text
    assert answer.content_type.startswith("text/html")


OWN_ROLES = {f"only-{right}": frozenset({Right.SEE, right, BESIDE.get(right, right)}) for right in Right}
"""A role of the configuration for each single right, with what that needs."""


@pytest.mark.parametrize("role", [*ROLES, *OWN_ROLES])
def test_each_role_opens_what_its_rights_open_and_nothing_else(
    ui: Flask, authority: Authority, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    configured = {name: RoleConfig(rights=list(rights)) for name, rights in OWN_ROLES.items()}
    monkeypatch.setitem(authority.config.__dict__, "roles", configured)
    rights = {**ROLES, **OWN_ROLES}[role]
    browser = signed_in(ui, authority, role)
    one = issue(authority)
    for name, (method, path) in routes(ui).items():
        if name not in NEEDS:
            continue
        own = path.replace("/01", f"/{serial_hex(one.serial)}")
        form = {"serial": serial_hex(one.serial), "sure": "1", "reason": "superseded"}
        form |= {
            "csr": pem(csr("by-the-bench.test")),
            "profile": "server",
            "name": "nobody",
            "role": "viewer",
            "team": "x",
            "put": "a",
        }
        answer = browser.get(own) if method == "GET" else browser.post(own, form)
        allowed = NEEDS[name] in rights
        anybodys = {"revoke": Right.REVOKE, **dict.fromkeys(("keep_some", "hand_over", "tag"), Right.KEEP)}.get(
            name, NEEDS[name]
        )
        owning = anybodys not in rights  # it belongs to none of his teams
        assert (answer.status_code == 403) is (not allowed or owning), f"{role} {method} {path}: {answer.status_code}"


def test_a_role_that_is_configured_no_longer_gives_nothing(
    ui: Flask, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(authority.config.__dict__, "roles", {"help-desk": RoleConfig(rights=list(ROLES["operator"]))})
    browser, administrator = signed_in(ui, authority, "help-desk"), signed_in(ui, authority, "administrator")
    assert browser.get("/ui/certificates").status_code == 200
    assert "help-desk" in administrator.get("/ui/people").text
    monkeypatch.setitem(authority.config.__dict__, "roles", {})
    assert browser.get("/ui/certificates").status_code == 403
    assert "gives nothing: it is not configured" in administrator.get("/ui/people").text
    form = {"name": "nobody", "role": "help-desk"}
    assert "is no role" in administrator.post("/ui/people", form).text


def test_a_seat_demands_a_right_for_everything_but_the_person_himself() -> None:
    own = {
        *("actor", "may", "may_revoke", "demand", "now", "must_enrol", "passkeys", "sign_ins", "passkey_options"),
        *("enrol_passkey", "totp_uri", "enrol_password", "remove_passkey", "end_sign_in", "confirm_options"),
        *("confirm_by_passkey", "confirm_by_password"),
    }
    public = {name for name in vars(Seat) if not name.startswith("_")}
    assert {name for name in public if not hasattr(vars(Seat)[name], "right")} == own


def test_an_operator_revokes_what_his_teams_own(ui: Flask, authority: Authority) -> None:
    browser = signed_in(ui, authority, "operator", teams=("pay team",))
    ours, theirs = issue(authority, owner="pay team"), issue(authority, owner="shop team")
    assert "Revoke for ever" in browser.get(path_of(ours)).text
    assert "Revoke for ever" not in browser.get(path_of(theirs)).text
    assert browser.post(f"{path_of(theirs)}/revoke", {"reason": "superseded"}).status_code == 403
    assert browser.post(f"{path_of(ours)}/revoke", {"reason": "superseded"}).status_code == 200
    assert authority.certificate(ours.serial).reason == "superseded"
    assert not authority.certificate(theirs.serial).revoked_at


# --- home ---------------------------------------------------------------------------------------


def test_home_shows_lights_and_what_ends(ui: Flask, authority: Authority) -> None:
    issue(authority, validity=3 * 86400)
    page = signed_in(ui, authority, "viewer").get("/ui/").text
    for light in LIGHTS:
        assert f">{light}</span>" in page
    assert "issuing-g1" in page
    (day,) = set(re.findall(r"q=ends:(\d{4}-\d\d-\d\d)", page)) & {_day(authority.clock() + 3 * 86400 - 301)}
    listed = signed_in(ui, authority, "viewer").get(f"/ui/certificates?q=ends:{day}").text
    assert "data-row" in listed


@pytest.mark.parametrize(
    ("mode", "days", "level", "says"),
    [
        ("demo", None, "good", "a demo needs none"),
        ("production", None, "warn", "none of the records"),
        ("production", 1, "good", "24 h old"),
        ("production", 5, "warn", "the last is 5 days old"),
        ("demo", 5, "warn", "the last is 5 days old"),
    ],
)
def test_a_backup_that_is_missing_or_old_lights_up(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, mode: str, days: int | None, level: str, says: str
) -> None:
    monkeypatch.setitem(authority.config.__dict__, "mode", mode)
    authority.store.change("DELETE FROM setting WHERE name = ?", backups.SETTING)
    if days:
        backups.note(authority, "a file", authority.clock() - days * 86400, OPERATOR)
    (found,) = [one for one in lights(authority) if one.name == "Backup"]
    assert (found.level, says in found.detail) == (level, True)
    assert found.next_step or level == "good"


def _day(at: int) -> str:
    from ca.clock import rfc3339

    return rfc3339(at)[:10]


@pytest.mark.slow
def test_home_works_while_the_signer_is_away(ui: Flask, authority: Authority, world) -> None:
    world.kill_signer()
    try:
        page = signed_in(ui, authority, "viewer").get("/ui/")
        assert page.status_code == 200
        assert 'class="state bad">HSM' in page.text
    finally:
        world.start_signer()


def test_a_large_ca_is_counted_ahead(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    before = count(authority)
    monkeypatch.setattr("ca.authority.survey.SMALL", 0)
    assert take_survey(authority).done == 1
    one = issue(authority)
    assert survey(authority).valid == before.valid
    authority.revoke(one, Reason.SUPERSEDED, OPERATOR)
    take_survey(authority)
    found = survey(authority)
    assert (found.valid, found.revoked) == (before.valid, before.revoked + 1)
    assert found.issued[-1] == before.issued[-1] + 1
    assert found.revocations[-1] == before.revocations[-1] + 1


# --- certificates -------------------------------------------------------------------------------


def rows(page: str) -> list[str]:
    return re.findall(r'<tr data-row>.*?href="/ui/certificates/(\w+)"', page, re.DOTALL)


def test_certificates_are_found_by_chips_and_words(ui: Flask, authority: Authority) -> None:
    pay = issue(authority, "a.pay.test", "b.pay.test", owner="pay team")
    shop = issue(authority, "www.shop.test", owner="shop team", validity=5 * 86400)
    browser = signed_in(ui, authority, "viewer")

    def found(query: str) -> list[str]:
        return rows(browser.get(f"/ui/certificates?q={query}").text)

    assert serial_hex(pay.serial) in found("san:*.pay.test")
    assert serial_hex(shop.serial) not in found("san:*.pay.test")
    assert found('owner:"shop team" within:7d') == [serial_hex(shop.serial)]
    assert found("a.pay") == [serial_hex(pay.serial)]
    assert found(serial_hex(pay.serial)[:12]) == [serial_hex(pay.serial)]
    assert found("nothing.like.this") == []


@pytest.mark.parametrize("query", ["status:odd", "colour:red", "within:x", "ends:tomorrow", "two words", "x" * 501])
def test_a_query_that_cannot_be_says_why(ui: Flask, authority: Authority, query: str) -> None:
    answer = signed_in(ui, authority, "viewer").get(f"/ui/certificates?q={query}")
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text


@pytest.mark.slow
def test_pages_follow_one_another_and_a_part_is_small(ui: Flask, authority: Authority) -> None:
    made = [issue(authority, f"n{number}.paged.test") for number in range(53)]
    browser = signed_in(ui, authority, "viewer")
    first = browser.get("/ui/certificates?q=san:*.paged.test", HX_Request="true")
    assert "<html" not in first.text
    assert len(first.data) < 30_000
    following = re.search(r'href="([^"]*after=[^"]*)">More', first.text)[1].replace("&amp;", "&")
    second = browser.get(following).text
    assert rows(first.text) + rows(second) == [serial_hex(one.serial) for one in reversed(made)]


def test_files_of_a_list(ui: Flask, authority: Authority) -> None:
    one = issue(authority, "file.files.test", owner="=cmd|' /C calc'!A0")
    browser = signed_in(ui, authority, "viewer")
    table = list(tables.DictReader(io.StringIO(browser.get("/ui/certificates/export.csv?q=san:*.files.test").text)))
    assert [row["serial"] for row in table] == [serial_hex(one.serial)]
    assert table[0]["owner"] == "'=cmd|' /C calc'!A0"
    listed = browser.get("/ui/certificates/export.json?q=san:*.files.test").get_json()
    assert listed[0]["names"] == "file.files.test"
    pem = browser.get("/ui/certificates/export.pem?q=san:*.files.test").data
    assert x509.load_pem_x509_certificate(pem).serial_number == one.serial
    assert browser.get("/ui/certificates/export.exe").status_code == 400


def test_some_are_revoked_after_the_number_was_typed(ui: Flask, authority: Authority) -> None:
    made = [serial_hex(issue(authority).serial) for _ in range(3)]
    browser = signed_in(ui, authority, "security-officer")
    asked = browser.post("/ui/certificates/revoke", {"serial": made}).text
    assert "Type how many: 3" in asked
    done = browser.post("/ui/certificates/revoke", {"serial": made, "sure": "3", "reason": "superseded"})
    assert done.text.count('class="state good">revoked') == 3
    again = browser.post("/ui/certificates/revoke", {"serial": made, "sure": "3", "reason": "superseded"})
    assert again.text.count('class="state warn"') == 3
    many = browser.post("/ui/certificates/revoke", {"serial": [f"{n:02x}" for n in range(16, 40)], "sure": "24"})
    assert many.status_code in (400, 404)


def test_those_that_were_marked_are_handed_over(ui: Flask, authority: Authority) -> None:
    made = [serial_hex(issue(authority, owner="pay team").serial) for _ in range(3)]
    browser = signed_in(ui, authority, "operator", teams=("pay team",))
    assert "Tag or hand over" in browser.get('/ui/certificates?q=owner:"pay team"').text
    asked = browser.post("/ui/certificates/keep", {"serial": made})
    assert re.findall(r'type="hidden" name="serial" value="(\w+)"', asked.text) == made * 2  # to tag, to hand over
    done = browser.post("/ui/certificates/hand-over", {"serial": made, "team": "<b>crew</b>"})
    assert done.status_code == 303
    assert set(rows(browser.get(done.location).text)) == set(made)
    page = browser.get(f"/ui/certificates/{made[0]}").text
    assert "pay team → &lt;b&gt;crew&lt;/b&gt;" in page
    assert ">Hand over</button>" not in page
    assert browser.post("/ui/certificates/hand-over", {"serial": made, "team": "pay team"}).status_code == 403


def test_those_that_were_marked_are_tagged_and_found_by_it(ui: Flask, authority: Authority) -> None:
    made = [serial_hex(issue(authority, f"n{number}.tagged.test", owner="pay team").serial) for number in range(50)]
    browser = signed_in(ui, authority, "operator", teams=("pay team",))
    put = "env=prod, critical, team=web shop, note=<script>alert(1)</script>"
    done = browser.post("/ui/certificates/tag", {"serial": made, "put": put})
    assert done.status_code == 303
    assert set(rows(browser.get(done.location).text)) == set(made)
    assert set(rows(browser.get('/ui/certificates?q=san:*.tagged.test tag:"team=web shop"').text)) == set(made)
    listed = browser.get("/ui/certificates?q=tag:env=prod", HX_Request="true")
    assert "<small><i>critical</i><i>env=prod</i>+2</small>" in listed.text
    assert len(listed.data) < 30_000
    browser.post("/ui/certificates/tag", {"serial": made[0], "put": "env=test", "off": "critical"})
    page = browser.get(f"/ui/certificates/{made[0]}").text
    assert "env=test without critical, env=prod" in page
    assert "note=&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert rows(browser.get("/ui/certificates?q=tag:env=test").text) == made[:1]
    table = browser.get("/ui/certificates/export.csv?q=tag:env=test").text
    assert next(tables.DictReader(io.StringIO(table)))["tags"].startswith("env=test, note=")
    assert browser.get("/ui/certificates?q=tag:a tag:b").status_code == 400
    assert browser.post("/ui/certificates/tag", {"serial": made, "put": "a\u202eb"}).status_code == 400


# --- one certificate ----------------------------------------------------------------------------


def test_one_certificate_shows_all_that_is_known(ui: Flask, authority: Authority) -> None:
    one = issue(authority, "one.detail.test", owner="pay team")
    page = signed_in(ui, authority, "auditor").get(path_of(one)).text
    for word in ("one.detail.test", "pay team", serial_hex(one.serial), "issuing-g1", "root-g1", "subjectAltName"):
        assert word in page
    for event in ("issuance.intended", "certificate.issued"):
        assert event in page
    assert re.search(r"\d+ rules hold", page)


def test_its_files(ui: Flask, authority: Authority) -> None:
    one = issue(authority)
    browser = signed_in(ui, authority, "viewer")
    assert browser.get(f"{path_of(one)}/file.der").data == one.der
    assert x509.load_pem_x509_certificate(browser.get(f"{path_of(one)}/file.pem").data).serial_number == one.serial
    assert len(x509.load_pem_x509_certificates(browser.get(f"{path_of(one)}/file.chain.pem").data)) == 2
    assert len(pkcs7.load_der_pkcs7_certificates(browser.get(f"{path_of(one)}/file.p7c").data)) == 2
    assert browser.get(f"{path_of(one)}/file.exe").status_code == 404


def test_the_proof_of_its_issuance_is_for_who_may_read_the_journal(ui: Flask, authority: Authority) -> None:
    one, other = issue(authority), issue(authority)
    auditor = signed_in(ui, authority, "auditor")
    early = auditor.get(f"{path_of(one)}/proof")
    assert early.status_code == 404
    assert "within a second" in early.text
    authority.sequence_journal()

    answer = auditor.get(f"{path_of(one)}/proof")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{serial_hex(one.serial)}.proof.json"'
    trusted = proof.fingerprint(authority.store.key("journal-g1").spki)
    proven = proof.verify(proof.read(answer.data), trusted)
    proof.demand_issuance(proven, one.der)
    with pytest.raises(JournalBroken, match="not of the certificate"):
        proof.demand_issuance(proven, other.der)
    assert f"{path_of(one)}/proof" in auditor.get(path_of(one)).text
    viewer = signed_in(ui, authority, "viewer")
    assert viewer.get(f"{path_of(one)}/proof").status_code == 403
    assert "/proof" not in viewer.get(path_of(one)).text


def test_revoking_says_how_long_it_took(ui: Flask, authority: Authority) -> None:
    one = issue(authority)
    browser = signed_in(ui, authority, "security-officer")
    answer = browser.post(f"{path_of(one)}/revoke", {"reason": "keyCompromise", "comment": "<script>lost()</script>"})
    assert re.search(r"OCSP and CRL carry it since \d", answer.text)
    assert "<script>lost" not in answer.text
    assert authority.store.revocation(one.issuer, one.serial).actor.kind == "user"
    assert browser.post(f"{path_of(one)}/revoke", {"reason": "superseded"}).status_code == 409
    assert browser.post(f"{path_of(one)}/revoke", {"reason": "boredom"}).status_code == 409


@pytest.mark.parametrize("serial", ["00", "zz", "f" * 200, "..", "%00"])
def test_a_serial_that_is_none(ui: Flask, authority: Authority, serial: str) -> None:
    assert signed_in(ui, authority, "viewer").get(f"/ui/certificates/{serial}").status_code in (400, 404)


def test_a_check_without_a_status_plane_says_so(ui: Flask, authority: Authority) -> None:
    page = signed_in(ui, authority, "viewer").post(f"{path_of(issue(authority))}/check").text
    assert page.count("gave no answer") == 2


# --- audit --------------------------------------------------------------------------------------


def test_the_journal_is_filtered_and_exported(ui: Flask, authority: Authority) -> None:
    one = issue(authority)
    target = f"certificate:{one.issuer}:{serial_hex(one.serial)}"
    browser = signed_in(ui, authority, "auditor")
    page = browser.get(f"/ui/audit?target={target}").text
    assert page.count("<tr data-row>") == 2
    assert browser.get(f"/ui/audit?target={target}&action=certificate.issued").text.count("<tr data-row>") == 1
    assert "No entry matches" in browser.get("/ui/audit?actor=user:nobody").text
    assert "<tr data-row>" in browser.get("/ui/audit?target=certificate:*").text
    told = [json.loads(line) for line in browser.get(f"/ui/audit/export.jsonl?target={target}").text.splitlines()]
    assert [event["action"] for event in told] == ["certificate.issued", "issuance.intended"]
    table = list(tables.DictReader(io.StringIO(browser.get(f"/ui/audit/export.csv?target={target}").text)))
    assert table[0]["object"] == target


@pytest.mark.parametrize("query", ["since=x", "until=2026-13-01", "before=x", "before=-1", f"before={10**30}"])
def test_a_question_to_the_journal_that_is_none(ui: Flask, authority: Authority, query: str) -> None:
    assert signed_in(ui, authority, "auditor").get(f"/ui/audit?{query}").status_code == 400


def test_the_journal_is_verified_at_a_click(ui: Flask, authority: Authority) -> None:
    authority.sequence_journal()
    browser = signed_in(ui, authority, "auditor")
    assert browser.post("/ui/audit/verify").status_code == 303
    assert re.search(r"Whole: \d+ entries", browser.get("/ui/audit").text)


@pytest.mark.slow
def test_older_entries_follow(ui: Flask, authority: Authority) -> None:
    for _ in range(30):
        issue(authority)
    browser = signed_in(ui, authority, "auditor")
    first = browser.get("/ui/audit?target=certificate:*").text
    older = re.search(r'href="([^"]*before=[^"]*)">Older', first)[1].replace("&amp;", "&")
    assert "<tr data-row>" in browser.get(older).text


def test_a_stretch_without_a_match_leads_on(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    from ca.store import EventQuery

    monkeypatch.setattr("ca.store.event_search.STRETCH", 2)
    issue(authority)
    items, place = authority.store.find_events(EventQuery(action="config.loaded"), 10)
    assert items == ()
    seen = 0
    while place:
        items, place = authority.store.find_events(EventQuery(action="key.generated", before=place), 10)
        seen += len(items)
    assert seen == len(authority.store.rows("SELECT id FROM event WHERE action = 'key.generated'"))


def test_pages_of_a_person_without_a_right_say_who_has_it(ui: Flask, authority: Authority) -> None:
    answer: Browser = signed_in(ui, authority, "viewer")
    page = answer.get("/ui/audit")
    assert page.status_code == 403
    assert "auditor, security-officer" in page.text


# --- the other screens --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/ui/authorities", ("root-g1", "issuing-g1", "software token", "extractable: no")),
        ("/ui/authorities/issuing-g1", ("nameConstraints", "CA: yes")),
        ("/ui/publication", ("crl/issuing-g1/", "fresh", "Responder")),
        ("/ui/profiles", ("short-lived", "none: it simply ends")),
        ("/ui/connect", ("certbot", "https://localhost:8443/acme/directory", "SHA-256 of the root")),
        ("/ui/reports", ("expiring", "by owner", "It prints as it stands")),
        ("/ui/jobs", ("No job ran yet",)),
        ("/ui/revocations", ("Revocations",)),
        ("/ui/acme", ("No order",)),
        ("/ui/acme/accounts", ("No client registered yet",)),
    ],
)
def test_a_screen_shows_what_is_there(ui: Flask, authority: Authority, path: str, words: tuple[str, ...]) -> None:
    authority.publish_crls()
    page = html.unescape(signed_in(ui, authority, "viewer").get(path).text)
    for word in words:
        assert word in page


def test_reports_count_by_owner_and_by_profile(ui: Flask, authority: Authority) -> None:
    for owner, validity in (("=cmd()", 5 * 86400), ("report team", 5 * 86400), ("report team", 20 * 86400)):
        issue(authority, owner=owner, validity=validity)
    authority.revoke(issue(authority, owner="report team", validity=86400), Reason.SUPERSEDED, OPERATOR)
    browser = signed_in(ui, authority, "viewer")

    def told(**asked: str) -> dict[str, int]:
        found = browser.get(f"/ui/reports/summary.json?{urlencode(asked)}").get_json()
        assert found["total"] == sum(line["count"] for line in found["lines"])
        return {line[asked["by"]]: line["count"] for line in found["lines"]}

    assert told(kind="expiring", by="owner", days="7")["report team"] == 1
    assert told(kind="expiring", by="owner", days="30")["report team"] == 2
    assert told(kind="issued", by="owner", days="7")["report team"] == 3
    assert told(kind="revoked", by="owner", days="7")["report team"] == 1
    assert told(kind="issued", by="profile", days="7")["server"] >= 4
    csv = browser.get("/ui/reports/summary.csv?kind=issued&by=owner&days=7").text
    assert "report team,3" in csv
    assert "'=cmd()," in csv
    page = html.unescape(browser.get("/ui/reports?kind=issued&by=owner&days=7").text)
    assert 'owner:"report team"' in unquote_plus(page)


@pytest.mark.parametrize("asked", ["kind=all", "by=serial", "days=0", "days=367", "days=x", "days=%C2%B2"])
def test_a_report_that_there_is_not_is_refused(ui: Flask, authority: Authority, asked: str) -> None:
    browser = signed_in(ui, authority, "viewer")
    for path in ("/ui/reports", "/ui/reports/summary.csv"):
        assert browser.get(f"{path}?{asked}").status_code == 400
    assert browser.get("/ui/reports/summary.exe").status_code == 404


def test_targets_are_shown_with_how_they_stand(authority: Authority, tmp_path: Path) -> None:
    from web.app import create_app

    wanted = {
        "edge": {"kind": "folder", "path": tmp_path / "edge"},
        "gone": {"kind": "http-put", "url": "http://127.0.0.1:9/secret-path"},
    }
    desk = replace(authority, config=Config.model_validate({**authority.config.model_dump(), "targets": wanted}))
    desk.publish_crls()
    for local in (True, False):
        desk.feed_targets(local=local)
    page = signed_in(create_app(desk, frozenset({"ui"})), desk, "viewer").get("/ui/publication").text
    assert re.search("edge@.*has everything.*gone.*fails", page, re.DOTALL)
    assert "secret-path" not in page, "what a target is called inside is for those who may run commands"


def test_the_bench_shows_each_rule_and_issues_what_passes(ui: Flask, authority: Authority) -> None:
    browser = signed_in(ui, authority, "operator", teams=("pay team",))
    good = {"csr": pem(csr("bench.ok.test")), "profile": "server", "owner": "pay team"}
    page = browser.post("/ui/issue/test", good).text
    assert page.count('class="state good"') >= 7
    assert "Issue it" in page
    before = authority.store.size()
    bad = browser.post("/ui/issue/test", {**good, "csr": pem(csr("www.bank.example"))}).text
    assert 'class="state bad">every name is permitted' in bad or "name constraints" in bad
    assert "Issue it" not in bad
    assert authority.store.size() == before
    path = browser.post("/ui/issue", good).location
    assert authority.certificate(int(path.rpartition("/")[2], 16)).owner == "pay team"
    assert browser.post("/ui/issue", {**good, "owner": "shop team"}).status_code == 403


def test_a_csr_comes_as_a_file_too(ui: Flask, authority: Authority) -> None:
    browser = signed_in(ui, authority, "viewer")
    file = (io.BytesIO(pem(csr("file.bench.test")).encode()), "host.csr")
    assert "file.bench.test" in browser.post("/ui/issue/test", {"file": file, "profile": "server"}).text
    for junk in ("", "x", "-----BEGIN CERTIFICATE REQUEST-----", "A" * 70_000):
        assert browser.post("/ui/issue/test", {"csr": junk, "profile": "server"}).status_code == 400
    assert "Issue it" not in browser.post("/ui/issue/test", {"csr": pem(csr("a.test")), "profile": "server"}).text


def test_a_job_is_run_out_of_turn(ui: Flask, authority: Authority) -> None:
    authority.store.job_ran("publish_crls", 1, 2, True, "1 done")
    browser = signed_in(ui, authority, "operator")
    assert "Run now" in browser.get("/ui/jobs").text
    assert "<strong>publish_crls</strong> did" in browser.post("/ui/jobs/publish_crls/run").text
    assert browser.post("/ui/jobs/rm_rf/run").status_code == 404


def test_tokens_and_bindings_are_shown_and_ended(ui: Flask, authority: Authority) -> None:
    from acme_server.desk import Desk
    from acme_server.eab import office
    from acme_server.eab.credential import Scope

    make_token(authority)
    credential, key = office.create(Desk(authority), Scope("build hosts", patterns=("**.build.test",)), OPERATOR)
    browser = signed_in(ui, authority, "administrator")
    page = browser.get("/ui/credentials").text
    assert "**.api.test" in page
    assert "build hosts" in page
    assert key not in page
    tokens = re.findall(r"/credentials/tokens/(\w+)/end", page)  # other tests of this CA make tokens too
    assert tokens
    for token in tokens:
        assert browser.post(f"/ui/credentials/tokens/{token}/end").status_code == 303
    assert browser.post(f"/ui/credentials/bindings/{credential.id}/end").status_code == 303
    page = browser.get("/ui/credentials").text
    assert "/credentials/tokens/" not in page
    assert f"/bindings/{credential.id}/end" not in page
    assert browser.post("/ui/credentials/bindings/nobody/end").status_code == 404


# --- notices ------------------------------------------------------------------------------------


def test_what_people_were_told_is_shown_and_its_trouble_to_those_who_run_the_ca(
    ui: Flask, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = ChatChannel(kind="chat", url_file=Path("/secret/place"), owners=["<b>pay</b>"])
    monkeypatch.setitem(authority.config.__dict__, "channels", {"room": room})
    operator, viewer = signed_in(ui, authority, "operator"), signed_in(ui, authority, "viewer")
    assert "Nothing was told yet" in viewer.get("/ui/notices").text
    assert "within seconds" in operator.post("/ui/notices/room/test").text
    assert viewer.post("/ui/notices/room/test").status_code == 403
    assert operator.post("/ui/notices/cellar/test").status_code == 404
    [notice] = authority.store.notices(10)
    authority.store.notice_failed(notice.id, "/secret/place is not there", 1)
    assert "/secret/place" in operator.get("/ui/notices").text
    shown = viewer.get("/ui/notices").text
    assert "/secret/place" not in shown
    assert "had this channel (room) tried" in shown
    assert "&lt;b&gt;pay&lt;/b&gt;" in shown
    assert authority.store.newest("channel:room")[0].action == "notice.tried"
