"""Passkeys and four eyes, with an authenticator in software; through Flask's client over a real CA."""

import json
import re
import secrets

import pytest
from flask import Flask

from ca.authority import Authority, people, proposals
from ca.errors import BadRequest, CAError, Denied
from ca.journal import history
from ca.people import ROLES
from ca.records import Actor
from tests.ca.authority.world import a_request
from tests.web.ui_passkeys import PRESENT, Authenticator, approve, enrol
from tests.web.ui_people import OPERATOR, Browser, invite, signed_in


@pytest.fixture
def ui(authority: Authority) -> Flask:
    """The application with the UI's door."""
    from web.app import create_app

    return create_app(authority, frozenset({"ui"}))


def sign_in(browser: Browser, passkey: Authenticator):
    options = browser.post("/ui/sign-in/passkey/options").get_json()
    return browser.post("/ui/sign-in/passkey", {"response": passkey.get(options), "next": "/ui/account"})


@pytest.fixture
def passkey(ui: Flask, authority: Authority) -> Authenticator:
    """A passkey that somebody has enrolled."""
    made = Authenticator()
    browser = signed_in(ui, authority, "viewer")
    assert enrol(browser, made).status_code == 303
    return made


def test_a_passkey_is_enrolled_and_signs_in_without_a_name(ui: Flask, authority: Authority, passkey) -> None:
    browser = Browser(ui, authority)
    answer = sign_in(browser, passkey)
    assert (answer.status_code, answer.location) == (303, "/ui/account")
    page = browser.get("/ui/account").text
    assert "&lt;b&gt;blue&lt;/b&gt;" in page
    assert "passkey <span" in page


@pytest.mark.parametrize(
    "bend",
    [
        lambda one: setattr(one, "origin", "https://evil.test"),
        lambda one: setattr(one, "flags", PRESENT),
        lambda one: setattr(one, "count", -1),
        lambda one: setattr(one, "id", b"another"),
        lambda one: setattr(one, "key", Authenticator().key),
    ],
    ids=["origin", "not verified", "count set back", "unknown", "other key"],
)
def test_an_assertion_that_is_wrong_in_one_thing_is_refused(ui: Flask, authority: Authority, passkey, bend) -> None:
    passkey.count = 5
    assert sign_in(Browser(ui, authority), passkey).status_code == 303
    bend(passkey)
    assert sign_in(Browser(ui, authority), passkey).status_code == 401


def test_an_assertion_is_good_once_and_for_its_challenge(ui: Flask, authority: Authority, passkey, world) -> None:
    browser = Browser(ui, authority)
    options = browser.post("/ui/sign-in/passkey/options").get_json()
    response = passkey.get(options)
    assert browser.post("/ui/sign-in/passkey", {"response": response}).status_code == 303
    assert Browser(ui, authority).post("/ui/sign-in/passkey", {"response": response}).status_code == 401
    old = passkey.get(Browser(ui, authority).post("/ui/sign-in/passkey/options").get_json())
    world.clock.ahead = 301
    assert Browser(ui, authority).post("/ui/sign-in/passkey", {"response": old}).status_code == 401
    made_up = passkey.get({"challenge": "A" * 43})
    assert Browser(ui, authority).post("/ui/sign-in/passkey", {"response": made_up}).status_code == 401


@pytest.mark.parametrize(
    "junk", ["", "x", "{}", "[]", '{"id": 1}', '{"response": {"clientDataJSON": "%%%"}}', "{" * 60000]
)
def test_junk_is_no_assertion(ui: Flask, authority: Authority, junk: str) -> None:
    assert Browser(ui, authority).post("/ui/sign-in/passkey", {"response": junk}).status_code in (400, 401)


def test_a_passkey_of_another_confirms_nothing(ui: Flask, authority: Authority, passkey, world) -> None:
    other = signed_in(ui, authority, "viewer")
    options = other.post("/ui/confirm/passkey/options").get_json()
    assert other.post("/ui/confirm/passkey", {"response": passkey.get(options)}).status_code == 401


def test_the_last_way_to_sign_in_is_not_given_up(ui: Flask, authority: Authority) -> None:
    name = invite(authority, "viewer")
    browser = Browser(ui, authority)
    browser.use_link(people.make_link(authority, name, OPERATOR).url)
    enrol(browser, Authenticator())
    (first,) = re.findall(r"/passkeys/([\w-]+)/remove", browser.get("/ui/account").text)
    assert browser.post(f"/ui/account/passkeys/{first}/remove").status_code == 409
    enrol(browser, Authenticator())
    assert browser.post(f"/ui/account/passkeys/{first}/remove").status_code == 303
    assert history(authority.store, f"user:{name}")[-1]["action"] == "user.credential-removed"


# --- four eyes ----------------------------------------------------------------------------------


@pytest.fixture
def pair(ui: Flask, authority: Authority) -> tuple[Browser, Browser, Authenticator]:
    """An administrator who proposes, and a security officer with a passkey who may approve."""
    first, second, passkey = (
        signed_in(ui, authority, "administrator"),
        signed_in(ui, authority, "security-officer"),
        Authenticator(),
    )
    assert enrol(second, passkey).status_code == 303
    return first, second, passkey


def propose(browser: Browser, name: str, *roles: str) -> str:
    answer = browser.post("/ui/people", {"name": name, "role": list(roles), "teams": "pay team"})
    assert answer.status_code == 303, answer.text
    return answer.location


def test_a_role_is_given_when_a_second_person_approves(authority: Authority, pair) -> None:
    first, second, passkey = pair
    path = propose(first, "carol", "operator", "viewer")
    assert "carol" not in {one.id for one in authority.store.people()}
    assert "Waiting for your approval" in second.get("/ui/").text
    assert approve(second, passkey, path).status_code == 303
    carol = authority.store.person("carol")
    assert (carol.roles, carol.teams) == (("viewer", "operator"), ("pay team",))
    (made, approved) = history(authority.store, f"proposal:{path.rpartition('/')[2]}")
    assert (made["action"], approved["action"]) == ("proposal.made", "proposal.approved")
    assert made["detail"]["sha256"] == approved["detail"]["sha256"]


def name_of(browser: Browser) -> str:
    """Who is signed in there."""
    return re.search(r'<a href="/ui/account">(\w+)</a>', browser.get("/ui/").text)[1]


def test_a_script_is_told_why_in_json(ui: Flask, authority: Authority) -> None:
    every = signed_in(ui, authority, *ROLES)
    path = propose(every, "doris", "viewer")
    refused = every.post(f"{path}/options", Accept="application/problem+json, application/json;q=0.9")
    assert (refused.status_code, refused.content_type) == (403, "application/problem+json")
    assert refused.get_json()["detail"] == "Nobody approves his own proposal, or his own roles."


def test_nobody_approves_his_own(ui: Flask, authority: Authority) -> None:
    every, passkey = signed_in(ui, authority, *ROLES), Authenticator()
    enrol(every, passkey)
    path = propose(every, "dave", "administrator")
    assert every.post(f"{path}/options").status_code == 403
    assert approve(every, passkey, path).status_code == 403
    assert "dave" not in {one.id for one in authority.store.people()}


def test_whoever_was_given_a_role_lately_does_not_approve_his_giver(ui: Flask, authority: Authority, pair) -> None:
    first, second, passkey = pair
    granter = name_of(first)
    second_name = name_of(second)
    sql = "UPDATE person SET granted_by = ?, granted_at = ? WHERE id = ?"
    authority.store.change(sql, f"user:{granter}", authority.clock() - 3600, second_name)
    path = propose(first, "erin", "viewer")
    assert approve(second, passkey, path).status_code == 403
    authority.store.change(sql, f"user:{granter}", authority.clock() - 86401, second_name)
    assert approve(second, passkey, path).status_code == 303


@pytest.mark.parametrize(
    ("by", "giver"),
    [
        ("operator:{}", "user:{}"),
        ("operator:{} (sudo)", "operator:{}"),
        ("{}", "user:{}"),
        ("operator:{} (sudo)", "user:{}"),
    ],
)
def test_a_giver_is_the_same_on_the_host_and_in_the_browser(authority: Authority, pair, by: str, giver: str) -> None:
    """Else he would let somebody in at one place, propose at the other, and have him approve the same day."""
    first, second, passkey = pair
    sql = "UPDATE person SET granted_by = ?, granted_at = ? WHERE id = ?"
    authority.store.change(sql, giver.format(name_of(first)), authority.clock() - 3600, name_of(second))
    path = propose(first, f"fred{secrets.token_hex(4)}", "viewer")
    change = "UPDATE proposal SET proposed_by = ?, kind = 'command', body = ? WHERE id = ?"
    body = '{"arguments":{},"command":"key rotate","files":{}}'
    authority.store.change(change, by.format(name_of(first)), body, path[-16:])
    assert approve(second, passkey, path).status_code == 403
    authority.store.change(sql, giver.format(name_of(first)), authority.clock() - 86401, name_of(second))
    assert approve(second, passkey, path).status_code == 303


def test_whose_roles_a_provider_changed_lately_approves_nothing(ui: Flask, authority: Authority, pair) -> None:
    first, second, passkey = pair
    second_name = name_of(second)
    sql = "UPDATE person SET subject = ?, granted_by = 'oidc:x', granted_at = ? WHERE id = ?"
    authority.store.change(sql, f"x {second_name}", authority.clock() - 3600, second_name)
    path = propose(first, "pia", "viewer")
    assert approve(second, passkey, path).status_code == 403
    authority.store.change(sql, f"x {second_name}", authority.clock() - 86401, second_name)
    assert approve(second, passkey, path).status_code == 303


def test_what_somebody_proposed_who_may_no_more_is_not_carried_out(ui: Flask, authority: Authority, pair) -> None:
    """Whoever is shut out, or lost the right, leaves nothing behind that waits for a hurried approval."""
    first, second, passkey = pair
    proposer = name_of(first)
    shut_out, demoted = propose(first, "olivia", "administrator"), propose(first, "oscar", "administrator")
    people.disable(authority, proposer, OPERATOR)
    assert approve(second, passkey, shut_out).status_code == 403
    people.enable(authority, proposer, OPERATOR)
    people.grant(authority, proposer, ("viewer",), (), OPERATOR)
    assert approve(second, passkey, demoted).status_code == 403
    assert not {"olivia", "oscar"} & {one.id for one in authority.store.people()}


def test_nobody_approves_his_own_roles(ui: Flask, authority: Authority, pair) -> None:
    first, second, passkey = pair
    name = name_of(second)
    before = authority.store.person(name).roles
    assert approve(second, passkey, propose(first, name, *ROLES)).status_code == 403
    assert authority.store.person(name).roles == before


def test_an_approval_is_for_one_proposal_alone(authority: Authority, pair) -> None:
    first, second, passkey = pair
    harmless, dangerous = propose(first, "frank", "viewer"), propose(first, "grace", "administrator")
    response = passkey.get(second.post(f"{harmless}/options").get_json())
    assert second.post(f"{dangerous}/approve", {"response": response}).status_code == 401
    assert second.post(f"{harmless}/approve", {"response": response}).status_code == 303
    assert second.post(f"{harmless}/approve", {"response": response}).status_code in (401, 409)


def test_a_proposal_that_was_changed_in_the_database_is_not_carried_out(authority: Authority, pair) -> None:
    """Who changes its row can neither exchange what was approved nor mark it as approved."""
    first, second, passkey = pair
    path = propose(first, "heidi", "viewer")
    response = passkey.get(second.post(f"{path}/options").get_json())
    number = path.rpartition("/")[2]
    one = authority.store.proposal(number)
    forged = json.dumps({**json.loads(one.body), "roles": ["administrator"]}, sort_keys=True, separators=(",", ":"))
    authority.store.change("UPDATE proposal SET body = ? WHERE id = ?", forged, number)
    assert second.post(f"{path}/approve", {"response": response}).status_code == 401
    authority.store.change(
        "UPDATE proposal SET state = 'approved', assertion = ?, decided_by = 'x' WHERE id = ?", response, number
    )
    with pytest.raises(CAError):
        proposals.carry_out(authority, number)
    assert "heidi" not in {person.id for person in authority.store.people()}


def test_a_proposal_ends_by_its_time_by_a_refusal_and_by_its_proposer(authority: Authority, pair, world) -> None:
    first, second, passkey = pair
    refused, taken_back, late = (propose(first, name, "viewer") for name in ("ivan", "judy", "kim"))
    assert second.post(f"{refused}/refuse").status_code == 303
    assert first.post(f"{taken_back}/refuse").status_code == 303
    for path in (refused, taken_back):
        assert approve(second, passkey, path).status_code == 409
    authority.store.change("UPDATE proposal SET expires_at = 1 WHERE id = ?", late.rpartition("/")[2])
    assert approve(second, passkey, late).status_code == 409


def test_a_deed_that_fails_says_so(authority: Authority, pair) -> None:
    first, second, passkey = pair
    path = propose(first, "liam", "viewer")
    people.invite(authority, "liam", ("viewer",), (), OPERATOR)
    assert approve(second, passkey, path).status_code == 303
    one = authority.store.proposal(path.rpartition("/")[2])
    assert (one.state, "is taken" in one.outcome) == ("failed", True)


def test_roles_of_somebody_who_is_there_are_changed_the_same_way(authority: Authority, pair) -> None:
    first, second, passkey = pair
    name = invite(authority, "viewer")
    assert approve(second, passkey, propose(first, name, "auditor")).status_code == 303
    assert authority.store.person(name).roles == ("auditor",)


def test_shutting_out_waits_for_nobody(authority: Authority, pair) -> None:
    first, _, _ = pair
    name = invite(authority, "administrator")
    assert first.post(f"/ui/people/{name}/disable").status_code == 303
    assert authority.store.person(name).disabled_at
    assert first.post(f"/ui/people/{name}/enable").status_code == 303


@pytest.mark.parametrize(
    "form", [{"name": "UPPER", "role": ["viewer"]}, {"name": "ok", "role": ["king"]}, {"name": "ok"}]
)
def test_what_cannot_be_proposed_says_why(pair, form) -> None:
    answer = pair[0].post("/ui/people", form)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text


# --- many at once -------------------------------------------------------------------------------


def test_many_are_revoked_when_a_second_person_approves(ui: Flask, authority: Authority, pair, world) -> None:
    _, second, passkey = pair
    proposer = signed_in(ui, authority, "security-officer")
    made = [authority.issue(a_request(f"n{number}.many.test")) for number in range(20)]
    form = {"q": "san:*.many.test", "reason": "keyCompromise", "comment": "the build host was lost"}
    page = proposer.get("/ui/revocations/new?q=san:*.many.test").text
    assert "Type how many: 20" in page
    assert proposer.post("/ui/revocations/new", {**form, "sure": "19"}).status_code == 400
    path = proposer.post("/ui/revocations/new", {**form, "sure": "20"}).location
    assert not any(authority.certificate(one.serial).revoked_at for one in made)
    world.clock.ahead = 2
    late = authority.issue(a_request("late.many.test"))
    assert approve(second, passkey, path).status_code == 303
    assert authority.revoke_masses().done == 20
    assert not authority.certificate(late.serial).revoked_at, "it was not proposed"
    assert {authority.certificate(one.serial).reason for one in made} == {"keyCompromise"}
    page = proposer.get("/ui/revocations").text
    assert "20 of 20" in page
    assert page.count("<tr data-row>") >= 20


def test_more_than_was_proposed_is_not_revoked(ui: Flask, authority: Authority, pair) -> None:
    """Of the second of the proposal nobody can say what came first, and records can be changed."""
    _, second, passkey = pair
    proposer = signed_in(ui, authority, "security-officer")
    made = [authority.issue(a_request("a.more.test"))]
    form = {"q": "san:*.more.test", "reason": "superseded", "comment": "", "sure": "1"}
    path = proposer.post("/ui/revocations/new", form).location
    made.append(authority.issue(a_request("b.more.test")))
    authority.store.change("UPDATE certificate SET issued_at = issued_at - 60 WHERE issued_at >= ?", made[0].issued_at)
    assert approve(second, passkey, path).status_code == 303
    assert "More certificates match" in proposer.get(path).text
    assert authority.revoke_masses().done == 0
    assert not any(authority.certificate(one.serial).revoked_at for one in made)


def alone(browser: Browser, name: str, why: str = "the build host is lost, and everybody sleeps"):
    form = {"q": f"san:{name}", "reason": "keyCompromise", "comment": "", "sure": "1", "why": why}
    return browser.post("/ui/revocations/new/alone", form)


def test_behind_the_glass_one_person_revokes_at_once_and_another_reviews(ui: Flask, authority: Authority, pair) -> None:
    _, second, passkey = pair
    alice, made = signed_in(ui, authority, "security-officer"), authority.issue(a_request("a.glass.test"))
    path = alone(alice, "a.glass.test").location
    assert authority.revoke_masses().done == 1
    assert authority.certificate(made.serial).reason == "keyCompromise"
    assert "Done alone, waiting for your review" in second.get("/ui/").text
    assert "done alone in an emergency" in signed_in(ui, authority, "viewer").get("/ui/").text
    assert alice.post(f"{path}/refuse").status_code == 409  # nobody makes it undone
    assert alice.post(f"{path}/options").status_code == 403  # or reviews himself
    assert approve(second, passkey, path).status_code == 303
    assert "Done alone" not in second.get("/ui/").text
    assert approve(second, passkey, path).status_code == 409
    found = history(authority.store, f"proposal:{path.rpartition('/')[2]}")
    assert [one["action"] for one in found] == ["proposal.glass-broken", "proposal.reviewed"]
    assert "everybody sleeps" in found[0]["detail"]["body"]
    assert found[0]["detail"]["sha256"] == found[1]["detail"]["sha256"]


def test_whoever_acted_alone_is_reviewed_though_he_was_shut_out_since(ui: Flask, authority: Authority, pair) -> None:
    first, second, passkey = pair
    mallory = signed_in(ui, authority, "security-officer")
    authority.issue(a_request("b.glass.test"))
    path = alone(mallory, "b.glass.test").location
    assert first.post(f"/ui/people/{mallory.person}/disable").status_code == 303
    assert approve(second, passkey, path).status_code == 303
    assert authority.store.proposal(path.rpartition("/")[2]).state == "reviewed"
    authority.revoke_masses()


@pytest.mark.parametrize("why", ["", "quick", " " * 30])
def test_the_glass_breaks_for_nobody_who_does_not_say_why(ui: Flask, authority: Authority, why: str) -> None:
    name = f"c{len(why)}.glass.test"
    made = authority.issue(a_request(name))
    answer = alone(signed_in(ui, authority, "security-officer"), name, why)
    assert answer.status_code == 400
    assert "Say why it cannot wait" in answer.text
    assert authority.revoke_masses().done == 0
    assert not authority.certificate(made.serial).revoked_at


def test_what_can_wait_is_behind_no_glass(ui: Flask, authority: Authority) -> None:
    browser = signed_in(ui, authority, "administrator")
    who = (browser.person, Actor("user", browser.person))
    with pytest.raises(Denied, match="waits for a second person"):
        proposals.break_glass(authority, "grant", {"name": browser.person, "roles": ["auditor"]}, *who, "x" * 30)
    with pytest.raises(BadRequest, match="to 1000 characters"):
        proposals.break_glass(authority, "revoke-many", {}, *who, "x" * 1001)


def test_the_own_certificate_is_left_out_and_that_is_said(ui: Flask, authority: Authority) -> None:
    authority.renew_own_certificate()
    browser = signed_in(ui, authority, "security-officer")
    assert "serves its own pages with" in browser.get("/ui/revocations/new?q=issuer:issuing-g1").text
    assert "serves its own pages with" not in browser.get("/ui/revocations/new?q=san:*.many.test").text


@pytest.mark.parametrize("query", ["", "status:valid", "within:7d", "colour:red"])
def test_a_query_that_excludes_nothing_revokes_nothing(ui: Flask, authority: Authority, query: str) -> None:
    browser = signed_in(ui, authority, "security-officer")
    assert browser.get(f"/ui/revocations/new?q={query}").status_code == 400
    form = {"q": query, "reason": "superseded", "sure": "0"}
    assert browser.post("/ui/revocations/new", form).status_code == 400


def test_whom_an_operator_let_in_approves_what_is_proposed_in_the_browser(authority: Authority, pair) -> None:
    """So the second person of a new CA comes in: the first one's own login name is often the operator's."""
    first, second, passkey = pair
    sql = "UPDATE person SET granted_by = ?, granted_at = ? WHERE id = ?"
    authority.store.change(sql, f"operator:{name_of(first)}", authority.clock(), name_of(second))
    assert approve(second, passkey, propose(first, f"gina{secrets.token_hex(4)}", "viewer")).status_code == 303
