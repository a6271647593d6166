"""Single sign-on: a browser's way to a provider (Authlib's own server) and back, honest and not."""

import base64
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import urllib3
from flask import Flask
from joserfc import jwt
from joserfc.jwk import ECKey
from werkzeug.test import TestResponse

from ca.authority import Authority, people, sign_on
from ca.console import OIDC
from ca.errors import Conflict
from ca.journal import history
from tests import oidc_provider
from tests.oidc_provider import CLIENT, SECRET, Provider
from tests.secret_file import secret
from tests.web.ui_people import OPERATOR, Browser, invite

BACK = "https://localhost:8443/ui/sign-in/oidc/back"
ROLES = {"viewer": ["everybody"], "operator": ["pki-operators"], "administrator": ["pki-admins"]}


@pytest.fixture
def provider(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    with oidc_provider.running(BACK) as made:
        config = OIDC(
            issuer=made.issuer,
            client_id=CLIENT,
            client_secret_file=secret(tmp_path / "secret", SECRET),
            roles=ROLES,
            teams={"pay team": ["pay"]},
        )
        monkeypatch.setitem(authority.config.ui.__dict__, "oidc", config)
        yield made


@pytest.fixture
def ui(authority: Authority, provider: Provider) -> Flask:
    from web.app import create_app

    return create_app(authority, frozenset({"ui"}))


@pytest.fixture
def browser(ui: Flask, authority: Authority) -> Browser:
    return Browser(ui, authority)


def log_in(url: str, user: str) -> str:
    """What somebody does at the provider; the URL to which it sends him back."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = urllib3.request("POST", url, body=urlencode({"user": user}), headers=form, redirect=False)
    return answer.headers["Location"]


def come(browser: Browser, user: str, start: str = "/ui/sign-in/oidc") -> TestResponse:
    """The whole way."""
    leaves = browser.get(start)
    assert leaves.status_code == 303, leaves.text
    urllib3.request("GET", leaves.location)
    return arrive(browser, log_in(leaves.location, user))


def arrive(browser: Browser, back: str, **changed: str) -> TestResponse:
    query = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()} | changed
    return browser.get(f"/ui/sign-in/oidc/back?{urlencode(query)}")


def events(authority: Authority, name: str) -> list[str]:
    return [event["action"] for event in history(authority.store, f"user:{name}")]


def test_whoever_is_in_a_group_comes_in_with_its_role(
    browser: Browser, provider: Provider, authority: Authority
) -> None:
    provider.add("Ann", "pki-operators", "pay", "chess")
    done = come(browser, "Ann", "/ui/sign-in/oidc?next=/ui/reports")
    assert (done.status_code, done.location) == (303, "/ui/reports")
    person = authority.store.person("ann")
    assert (person.roles, person.teams) == (("operator",), ("pay team",))
    assert "Home" in browser.get("/ui/").text  # no passkey has to be enrolled
    assert events(authority, "ann") == ["user.invited", "user.signed-in"]
    [asked] = provider.asked
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == BACK
    assert "prompt" not in asked


def test_roles_follow_the_groups_at_each_sign_in(browser: Browser, provider: Provider, authority: Authority) -> None:
    provider.add("bob", "pki-admins")
    come(browser, "bob")
    provider.add("bob", "everybody")
    come(browser, "bob")
    assert authority.store.person("bob").roles == ("viewer",)
    provider.add("bob", "chess")
    answer = come(browser, "bob")
    assert answer.status_code == 403
    assert "None of your groups" in answer.text
    assert authority.store.person("bob").roles == ()
    assert browser.get("/ui/").location.startswith("/ui/sign-in")  # what he was signed in with has ended


def test_nobody_becomes_somebody_by_his_name(browser: Browser, provider: Provider, authority: Authority) -> None:
    local = invite(authority, "administrator")
    provider.add(local, "pki-admins")
    answer = come(browser, local)
    assert answer.status_code == 403
    assert "belongs to somebody else" in answer.text
    assert authority.store.person(local).subject == ""
    provider.add("carl", "everybody")
    come(browser, "carl")
    provider.people["carl"]["preferred_username"] = "renamed"
    come(browser, "carl")
    assert authority.store.person("carl").subject == f"{provider.issuer} sub-carl"
    provider.people["other"] = {**provider.people["carl"], "sub": "sub-other", "preferred_username": "carl"}
    assert come(browser, "other").status_code == 403


def test_a_step_up_wants_a_new_proof_of_the_same_person(
    browser: Browser, provider: Provider, authority: Authority
) -> None:
    provider.add("dora", "pki-operators")
    provider.lies = {"auth_time": 1}
    come(browser, "dora")
    assert browser.get("/ui/issue/here").location.startswith("/ui/confirm")
    assert "Confirm by single sign-on" in browser.get("/ui/confirm").text
    start = "/ui/confirm/oidc?next=/ui/issue/here"
    assert come(browser, "dora", start).status_code == 401  # the old proof again
    provider.lies = {"auth_time": ...}
    assert come(browser, "dora", start).status_code == 401  # it does not say
    provider.lies = {}
    provider.add("eve", "pki-operators")
    assert come(browser, "eve", start).status_code == 401  # somebody else
    assert browser.get("/ui/issue/here").status_code == 303
    assert come(browser, "dora", start).location == "/ui/issue/here"
    assert provider.asked[-1]["prompt"] == "login"
    assert provider.asked[-1]["max_age"] == "0"
    assert browser.get("/ui/issue/here").status_code == 200


LIES: dict[str, dict[str, Any]] = {
    "issuer": {"iss": "https://elsewhere.example"},
    "no issuer": {"iss": ...},
    "audience": {"aud": "another-client"},
    "audiences without azp": {"aud": ["certwright", "another"]},
    "another party": {"aud": ["certwright", "another"], "azp": "another"},
    "no audience": {"aud": ...},
    "over": {"exp": 1000},
    "no end": {"exp": ...},
    "from the future": {"iat": 4_000_000_000},
    "nonce": {"nonce": "another"},
    "no nonce": {"nonce": ...},
    "nobody": {"sub": ...},
    "a number": {"sub": 7},
    "empty": {"sub": ""},
    "long": {"sub": "x" * 256},
    "access token": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_token_that_is_not_for_this_sign_in_is_refused(
    browser: Browser, provider: Provider, authority: Authority, lie: str
) -> None:
    name = provider.add(f"liar{abs(hash(lie)) % 10**6}", "pki-admins")
    provider.lies = LIES[lie]
    answer = come(browser, name)
    assert answer.status_code == 401, answer.text
    assert browser.cookie == ""
    assert name not in {one.id for one in authority.store.people()}


def _unsigned(head: dict[str, Any], claims: dict[str, Any]) -> str:
    return b".".join(_b64(json.dumps(part).encode()) for part in ({**head, "alg": "none"}, claims)).decode() + "."


def _by_public_key(provider: Provider) -> Any:
    """HMAC with a key that everybody knows: what a verifier falls for that lets the token choose."""

    def sign(head: dict[str, Any], claims: dict[str, Any]) -> str:
        parts = b".".join(_b64(json.dumps(part).encode()) for part in ({**head, "alg": "HS256"}, claims))
        mac = hmac.digest(provider.key.as_pem(private=False), parts, "sha256")
        return (parts + b"." + _b64(mac)).decode()

    return sign


def _b64(octets: bytes) -> bytes:
    return base64.urlsafe_b64encode(octets).rstrip(b"=")


def _by_another_key(head: dict[str, Any], claims: dict[str, Any]) -> str:
    return jwt.encode(head, claims, ECKey.generate_key("P-256"))


@pytest.mark.parametrize("trick", ["none", "HS256", "another key", "junk", "empty", "kid"])
def test_a_token_that_the_provider_did_not_sign_is_refused(browser: Browser, provider: Provider, trick: str) -> None:
    provider.add("mallory", "pki-admins")
    provider.sign = {
        "none": _unsigned,
        "HS256": _by_public_key(provider),
        "another key": _by_another_key,
        "junk": lambda *_: "a.b.c",
        "empty": lambda *_: "",
        "kid": lambda head, claims: _by_another_key({**head, "kid": "unknown"}, claims),
    }[trick]
    assert come(browser, "mallory").status_code == 401
    assert browser.cookie == ""


def test_new_keys_of_the_provider_are_found_and_not_asked_for_at_each_token(
    browser: Browser, provider: Provider, authority: Authority
) -> None:
    provider.add("fred", "everybody")
    come(browser, "fred")
    assert come(browser, "fred").status_code == 303
    assert provider.fetches == ["about", "keys"]
    provider.key = ECKey.generate_key("P-256", {"kid": "next"})
    assert come(browser, "fred").status_code == 401  # keys were fetched a moment ago
    assert provider.fetches == ["about", "keys"]


def test_an_answer_is_good_once_and_in_the_browser_that_asked(
    browser: Browser, provider: Provider, authority: Authority, ui: Flask
) -> None:
    provider.add("gil", "everybody")
    leaves = browser.get("/ui/sign-in/oidc")
    back = log_in(leaves.location, "gil")
    other = Browser(ui, authority)
    assert arrive(other, back).status_code == 401  # has no ticket
    other.get("/ui/sign-in/oidc")
    assert arrive(other, back).status_code == 401  # has another
    assert arrive(browser, back, state="x" * 43).status_code == 401
    assert arrive(browser, back).status_code == 401  # its round has ended with the wrong state
    leaves = browser.get("/ui/sign-in/oidc")
    back = log_in(leaves.location, "gil")
    ticket = browser.client.get_cookie("__Host-certwright-sign-on", domain="localhost").value
    assert arrive(browser, back).status_code == 303
    browser.client.set_cookie("__Host-certwright-sign-on", ticket, domain="localhost", secure=True)
    assert arrive(browser, back).status_code == 401
    for query in ({}, {"error": "access_denied", "error_description": "<b>x"}, {"code": "x", "state": "y"}):
        answer = browser.get(f"/ui/sign-in/oidc/back?{urlencode(query)}")
        assert answer.status_code == 401
        assert "<b>x" not in answer.text


def test_it_leads_nowhere_else(browser: Browser, provider: Provider) -> None:
    provider.add("hal", "everybody")
    for target in ("https://evil.test/", "//evil.test", "/ui/../../x", "/ui/\\evil.test"):
        assert come(browser, "hal", f"/ui/sign-in/oidc?{urlencode({'next': target})}").location == "/ui/"


@pytest.mark.parametrize(
    "about",
    [
        {"issuer": "https://elsewhere.example"},
        {"token_endpoint": "http://elsewhere.example/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": 7},
    ],
    ids=str,
)
def test_a_provider_that_is_another_is_not_believed(
    browser: Browser, provider: Provider, about: dict[str, Any]
) -> None:
    provider.about = about
    provider.add("ida", "pki-admins")
    leaves = browser.get("/ui/sign-in/oidc")
    answer = leaves if leaves.status_code != 303 else arrive(browser, log_in(leaves.location, "ida"))
    assert answer.status_code == 503
    assert "Sign in with a passkey" in answer.text  # the other ways are open


def test_a_provider_that_is_away_closes_no_other_way(
    browser: Browser, provider: Provider, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = provider.issuer.rpartition(":")[0] + ":1"
    config = authority.config.ui.oidc.model_copy(update={"issuer": gone})
    monkeypatch.setitem(authority.config.ui.__dict__, "oidc", config)
    answer = browser.get("/ui/sign-in/oidc")
    assert answer.status_code == 503
    assert "Try again later, or sign in another way." in answer.text
    assert "Sign in with a passkey" in answer.text
    assert gone.rpartition("/")[2] not in answer.text  # nobody outside is told who the provider is


def test_a_secret_that_is_missing_is_told_without_its_path(
    browser: Browser, authority: Authority, monkeypatch: pytest.MonkeyPatch, provider: Provider
) -> None:
    config = authority.config.ui.oidc.model_copy(update={"client_secret_file": Path("/nowhere/secret")})
    monkeypatch.setitem(authority.config.ui.__dict__, "oidc", config)
    provider.add("ida", "pki-admins")
    answer = arrive(browser, log_in(browser.get("/ui/sign-in/oidc").location, "ida"))
    assert answer.status_code == 503
    assert "nowhere" not in answer.text
    assert "the log names the file" in answer.text


def test_without_a_provider_there_is_no_such_way(
    browser: Browser, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(authority.config.ui.__dict__, "oidc", OIDC())
    assert "Single sign-on" not in browser.get("/ui/sign-in").text
    assert browser.get("/ui/sign-in/oidc").status_code == 404
    assert browser.get("/ui/sign-in/oidc/back?code=x&state=y").status_code == 401


def test_whoever_comes_from_the_provider_gets_no_link_and_no_way_around_it(
    browser: Browser, provider: Provider, authority: Authority
) -> None:
    provider.add("jo", "everybody")
    come(browser, "jo")
    with pytest.raises(Conflict):
        people.make_link(authority, "jo", OPERATOR)
    people.disable(authority, "jo", OPERATOR)
    assert come(browser, "jo").status_code == 401
    assert browser.get("/ui/").location.startswith("/ui/sign-in")
    assert sign_on.offered(authority)


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "http://idp.example"},
        {"client_id": ""},
        {"roles": {}},
        {"colour": "red"},
    ],
    ids=str,
)
def test_what_cannot_work_is_refused_by_the_configuration(wrong: dict[str, Any]) -> None:
    good = {"issuer": "https://idp.example", "client_id": "x", "roles": {"viewer": ["all"]}}
    OIDC.model_validate(good)
    with pytest.raises(ValueError):
        OIDC.model_validate({**good, **wrong})
