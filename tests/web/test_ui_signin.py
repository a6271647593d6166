"""Signing in at the UI: the one-time link, password with TOTP, sign-ins, forms; by Flask's client, over a real CA."""

import re

import pytest
from flask import Flask

from ca.authority import Authority, people
from ca.journal import history
from tests.web.ui_people import OPERATOR, PASSWORD, Browser, invite, signed_in


@pytest.fixture
def ui(authority: Authority) -> Flask:
    """The application with the UI's door."""
    from web.app import create_app

    return create_app(authority, frozenset({"ui"}))


@pytest.fixture
def browser(ui: Flask, authority: Authority) -> Browser:
    """A browser in which nobody is signed in."""
    return Browser(ui, authority)


def link_of(authority: Authority, name: str) -> str:
    return people.make_link(authority, name, OPERATOR).url


def events(authority: Authority, name: str) -> list[str]:
    return [event["action"] for event in history(authority.store, f"user:{name}")]


# --- the one-time link --------------------------------------------------------------------------


def test_the_first_sign_in_by_link_leads_to_enrolment_and_then_home(browser: Browser, authority: Authority) -> None:
    name = invite(authority, "viewer")
    url = link_of(authority, name)
    assert re.fullmatch(r"https://localhost:8443/ui/link#[\w-]{43}", url)
    assert browser.use_link(url).status_code == 303
    assert browser.get("/ui/").location == "/ui/enrol"
    browser.enrol_password()
    assert "Home" in browser.get("/ui/").text
    assert events(authority, name) == ["user.invited", "user.link-made", "user.signed-in", "user.credential-added"]


def test_until_something_is_enrolled_nothing_else_is_open(browser: Browser, authority: Authority) -> None:
    browser.use_link(link_of(authority, invite(authority, "administrator")))
    for path in ("/ui/", "/ui/account"):
        assert browser.get(path).location == "/ui/enrol"
    assert browser.post("/ui/account/theme", {"theme": "dark"}).location == "/ui/enrol"


def test_a_link_is_good_once(browser: Browser, ui: Flask, authority: Authority) -> None:
    url = link_of(authority, invite(authority, "viewer"))
    browser.use_link(url)
    assert Browser(ui, authority).use_link(url).status_code == 401


def test_a_link_ends_after_fifteen_minutes_and_when_a_newer_one_is_made(
    browser: Browser, authority: Authority, world
) -> None:
    name = invite(authority, "viewer")
    older, newer = link_of(authority, name), link_of(authority, name)
    assert browser.use_link(older).status_code == 401
    world.clock.ahead = 901
    assert browser.use_link(newer).status_code == 401


@pytest.mark.parametrize("token", ["", "x", "x" * 390, "\x00", "' OR 1=1 --"])
def test_what_is_no_link_opens_nothing(browser: Browser, token: str) -> None:
    assert browser.use_link(token).status_code == 401


def test_the_token_is_in_no_database(authority: Authority) -> None:
    token = link_of(authority, invite(authority, "viewer")).partition("#")[2]
    assert token not in str(authority.store.rows("SELECT * FROM sign_in_link"))


# --- password and code --------------------------------------------------------------------------


@pytest.fixture
def enrolled(browser: Browser, ui: Flask, authority: Authority) -> tuple[str, str]:
    """Name and TOTP secret of somebody with a password, signed in nowhere else."""
    name = invite(authority, "viewer")
    browser.use_link(link_of(authority, name))
    return name, browser.enrol_password()


def sign_in(browser: Browser, name: str, password: str, code: str):
    return browser.post(
        "/ui/sign-in/password", {"name": name, "password": password, "code": code, "next": "/ui/account"}
    )


def test_both_factors_sign_in_and_a_code_is_good_once(ui: Flask, authority: Authority, enrolled, world) -> None:
    name, secret = enrolled
    world.clock.ahead = 60
    code = Browser(ui, authority).code(secret)
    answer = sign_in(Browser(ui, authority), name, PASSWORD, code)
    assert (answer.status_code, answer.location) == (303, "/ui/account")
    assert sign_in(Browser(ui, authority), name, PASSWORD, code).status_code == 401
    assert "user.sign-in-failed" in events(authority, name)


@pytest.mark.slow
def test_a_wrong_name_password_or_code_looks_the_same(ui: Flask, authority: Authority, enrolled, world) -> None:
    name, secret = enrolled
    world.clock.ahead = 60
    code = Browser(ui, authority).code(secret)
    tries = [(name, "wrong" * 4, code), (name, PASSWORD, "000000"), ("nobody", PASSWORD, code), ("\x00", "", "")]
    pages = set()
    for one in tries:
        answer = sign_in(Browser(ui, authority), *one)
        assert answer.status_code == 401
        pages.add(answer.text)
    assert len(pages) == 1
    assert "Set-Cookie" not in answer.headers


@pytest.mark.slow
def test_guessing_is_slowed_down_for_known_and_unknown_names_alike(ui: Flask, authority: Authority, world) -> None:
    for name in (invite(authority, "viewer"), "nobody-at-all"):
        told = [sign_in(Browser(ui, authority), name, "x", "1").status_code for _ in range(8)]
        assert told[:5] == [401] * 5
        assert told[-1] == 429
    authority.store.change("DELETE FROM throttle WHERE failures > ?", 0)


def test_a_weak_password_or_a_wrong_code_enrols_nothing(browser: Browser, authority: Authority) -> None:
    name = invite(authority, "viewer")
    browser.use_link(link_of(authority, name))
    secret = re.search(r'name="secret" value="(\w+)"', browser.get("/ui/enrol").text)[1]
    for password, code in (("short", browser.code(secret)), ("a" * 20, browser.code(secret)), (PASSWORD, "000000")):
        answer = browser.post("/ui/enrol/password", {"password": password, "secret": secret, "code": code})
        assert answer.status_code == 400
    assert authority.store.person(name).password == ""
    assert browser.post("/ui/enrol/password", {"secret": "nonsense"}).status_code == 400


def test_a_copy_of_the_database_has_neither_password_nor_second_factor(authority: Authority, enrolled) -> None:
    _, secret = enrolled
    kept = str(authority.store.rows("SELECT * FROM person"))
    assert PASSWORD not in kept
    assert secret not in kept
    assert "$argon2id$" in kept


# --- sign-ins -----------------------------------------------------------------------------------


def test_without_a_sign_in_every_page_leads_to_it(browser: Browser) -> None:
    answer = browser.get("/ui/account?x=1")
    assert (answer.status_code, answer.location) == (303, "/ui/sign-in?next=/ui/account?x%3D1")
    part = browser.get("/ui/account", HX_Request="true")
    assert (part.status_code, part.headers["HX-Redirect"]) == (204, "/ui/sign-in?next=/ui/account")


def test_the_cookie_is_the_browsers_alone(browser: Browser, authority: Authority) -> None:
    answer = browser.use_link(link_of(authority, invite(authority, "viewer")))
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-certwright=")
    for word in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert word in cookie
    assert "Domain" not in cookie
    assert browser.cookie not in str(authority.store.rows("SELECT * FROM sign_in"))


def test_each_sign_in_has_a_new_cookie(browser: Browser, authority: Authority) -> None:
    browser.use_link(link_of(authority, invite(authority, "viewer")))
    before = browser.cookie
    browser.use_link(link_of(authority, invite(authority, "viewer")))
    assert before != browser.cookie


def test_it_ends_when_idle_and_in_any_case(ui: Flask, authority: Authority, world) -> None:
    browser = signed_in(ui, authority, "viewer")
    for minutes in range(0, 12 * 60, 25):
        world.clock.ahead = minutes * 60
        assert browser.get("/ui/").status_code == 200
    world.clock.ahead = 12 * 3600 + 1
    assert browser.get("/ui/").status_code == 303
    world.clock.ahead = 0
    other = signed_in(ui, authority, "viewer")
    world.clock.ahead = 1801
    assert other.get("/ui/").status_code == 303


def test_signing_out_ends_it_for_the_server_too(ui: Flask, authority: Authority) -> None:
    browser = signed_in(ui, authority, "viewer")
    cookie = browser.cookie
    browser.post("/ui/sign-out")
    browser.client.set_cookie("__Host-certwright", cookie, domain="localhost", secure=True)
    assert browser.get("/ui/").status_code == 303


def test_sign_ins_are_listed_and_ended_by_their_person_alone(ui: Flask, authority: Authority) -> None:
    browser, other = signed_in(ui, authority, "viewer"), signed_in(ui, authority, "viewer")
    page = browser.get("/ui/account").text
    (own,) = re.findall(r"/ui/account/sign-ins/(\w+)/end", page)
    assert other.post(f"/ui/account/sign-ins/{own}/end").status_code == 404
    assert browser.post(f"/ui/account/sign-ins/{own}/end").status_code == 303
    assert browser.get("/ui/").status_code == 303


def test_who_is_shut_out_is_out_at_once(ui: Flask, authority: Authority) -> None:
    browser = signed_in(ui, authority, "administrator")
    people.disable(authority, browser.person, OPERATOR)
    assert browser.get("/ui/").status_code == 303
    people.enable(authority, browser.person, OPERATOR)
    assert events(authority, browser.person)[-2:] == ["user.disabled", "user.enabled"]


# --- forms --------------------------------------------------------------------------------------


def test_a_post_must_come_from_our_own_page(ui: Flask, authority: Authority) -> None:
    browser = signed_in(ui, authority, "viewer")
    for origin in ("https://evil.test", "null", "http://localhost:8443", "https://localhost:8444", ""):
        assert browser.post("/ui/sign-out", Origin=origin).status_code == 403
    assert browser.get("/ui/").status_code == 200


def test_a_post_must_carry_the_token_of_this_sign_in(ui: Flask, authority: Authority) -> None:
    browser, other = signed_in(ui, authority, "viewer"), signed_in(ui, authority, "viewer")
    for token in ("", "x", other.token()):
        assert browser.post("/ui/sign-out", {"_token": token}).status_code == 403
    assert browser.post("/ui/sign-out", {"_token": ""}, X_CSRF_Token=browser.token()).status_code == 303


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.test/",
        "//evil.test",
        "/\\evil.test",
        "/ui/../x",
        "javascript:alert(1)",
        "/api/v1",
        "/ui/\r\nx: y",
        "\t//x",
    ],
)
def test_no_redirect_leads_out(ui: Flask, authority: Authority, target: str) -> None:
    browser = signed_in(ui, authority, "viewer")
    page = browser.get(f"/ui/sign-in?next={target}".replace("\r\n", "%0d%0a").replace("\t", "%09")).text
    assert 'name="next" value="/ui/"' in page
    assert browser.post("/ui/account/theme", {"theme": "dark", "_from": target}).location == "/ui/"


def test_the_headers_of_every_page(browser: Browser) -> None:
    headers = browser.get("/ui/sign-in").headers
    assert headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "same-origin"


def test_no_page_has_inline_code_or_style(ui: Flask, authority: Authority) -> None:
    browser = signed_in(ui, authority, "viewer")
    for path in ("/ui/", "/ui/account", "/ui/enrol", "/ui/sign-in", "/ui/link", "/ui/confirm"):
        page = browser.get(path).text
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?! src=)|hx-on", page)


def test_static_files_are_kept_for_ever_and_nothing_else_is_served(browser: Browser) -> None:
    answer = browser.get("/ui/static/vendor/htmx.js?v=1", Accept_Encoding="gzip")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "immutable" in answer.headers["Cache-Control"]
    for path in ("vendor/htmx.LICENSE", "../app.py", "nothing.css", "..%2fapp.py"):
        assert browser.get(f"/ui/static/{path}").status_code == 404


def test_a_dangerous_act_wants_a_fresh_proof(ui: Flask, authority: Authority, enrolled, world) -> None:
    name, secret = enrolled
    world.clock.ahead = 60
    browser = Browser(ui, authority)
    sign_in(browser, name, PASSWORD, browser.code(secret))
    world.clock.ahead = 60 + 301
    asked = browser.post("/ui/enrol/passkey/options", {"_from": "/ui/enrol"})
    assert asked.location == "/ui/confirm?next=/ui/enrol"
    wrong = browser.post("/ui/confirm/password", {"password": "wrong", "code": "1", "next": "/ui/enrol"})
    assert wrong.status_code == 401
    right = browser.post(
        "/ui/confirm/password", {"password": PASSWORD, "code": browser.code(secret), "next": "/ui/enrol"}
    )
    assert right.location == "/ui/enrol"
    assert browser.post("/ui/enrol/passkey/options").get_json()["rp"]["id"] == "localhost"
