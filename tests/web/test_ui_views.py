"""Saved views: who sees them, who changes them, how many there are, and what an outdated one says."""

import html
import re
from dataclasses import replace

import pytest
from flask import Flask

from ca.authority import Authority, people, views
from tests.web.test_ui_hostile import HOSTILE, read
from tests.web.ui_people import OPERATOR, Browser, signed_in

QUERY = 'san:*.pay.test owner:"pay team" within:14d'


@pytest.fixture
def ui(authority: Authority) -> Flask:
    """The application with the UI's door."""
    from web.app import create_app

    return create_app(authority, frozenset({"ui"}))


def save(browser: Browser, name: str, query: str = QUERY, team: str = "") -> int:
    return browser.post("/ui/views", {"name": name, "query": query, "team": team}).status_code


def offered(browser: Browser) -> dict[str, str]:
    """Names of the views above the list, each with where it leads."""
    nav = re.search(r'aria-label="Saved views">(.*?)</div>', browser.get("/ui/certificates").text)
    found = re.findall(r'class="chip" href="([^"]*)">([^<]*?)(?: <span|</a>)', nav[1]) if nav else []
    return {html.unescape(name): html.unescape(link) for link, name in found}


def id_of(authority: Authority, browser: Browser) -> str:
    (one,) = authority.store.views(browser.person)
    return one.id


def test_a_query_is_kept_under_a_name_changed_and_deleted(ui: Flask, authority: Authority) -> None:
    browser = signed_in(ui, authority, "viewer")
    offer = re.search(r'href="([^"]*)">Save it as a view', browser.get("/ui/certificates?q=status:valid").text)
    assert 'value="status:valid"' in browser.get(html.unescape(offer[1])).text
    assert save(browser, " Pay, soon ") == 303
    assert set(offered(browser)) == {"Pay, soon"}
    assert browser.get(offered(browser)["Pay, soon"]).status_code == 200
    path = f"/ui/views/{id_of(authority, browser)}"
    assert browser.post(path, {"name": "Pay", "query": "status:revoked"}).status_code == 303
    assert offered(browser) == {"Pay": "/ui/certificates?q=status:revoked"}
    assert browser.post(f"{path}/delete").status_code == 303
    assert offered(browser) == {}


def test_a_part_of_the_page_carries_no_views(ui: Flask, authority: Authority) -> None:
    browser = signed_in(ui, authority, "viewer")
    save(browser, "mine")
    assert "mine" not in browser.get("/ui/certificates", HX_Request="true").text


def test_a_shared_one_is_seen_by_the_team_alone_and_changed_by_nobody_else(ui: Flask, authority: Authority) -> None:
    sharing = signed_in(ui, authority, "operator", teams=("pay team",))
    colleague = signed_in(ui, authority, "viewer", teams=("pay team", "shop team"))
    stranger = signed_in(ui, authority, "security-officer", teams=("shop team",))
    assert save(sharing, "own") == 303
    assert save(sharing, "ours", team="pay team") == 303
    assert save(sharing, "theirs", team="shop team") == 403
    assert (set(offered(sharing)), set(offered(colleague)), offered(stranger)) == ({"own", "ours"}, {"ours"}, {})
    shared = next(one for one in authority.store.views(sharing.person) if one.team)
    for other in (colleague, stranger):
        assert other.post(f"/ui/views/{shared.id}", {"name": "x", "query": "x"}).status_code == 404
        assert other.post(f"/ui/views/{shared.id}/delete").status_code == 404
    people.grant(authority, sharing.person, ("operator",), (), OPERATOR)  # he leaves the team
    assert offered(colleague) == {}
    people.grant(authority, sharing.person, ("operator",), ("pay team",), OPERATOR)
    assert set(offered(colleague)) == {"ours"}
    people.disable(authority, sharing.person, OPERATOR)
    assert offered(colleague) == {}


NO_NAMES = ("", "n" * 61, "a\u202eb", "a\x00")
NO_QUERIES = ("", "colour:red", "x\x00", "x" * 501, "status:odd", "tag:a tag:b")


@pytest.mark.parametrize(("name", "query"), [*((name, "x") for name in NO_NAMES), *(("a", one) for one in NO_QUERIES)])
def test_what_is_not_kept_says_why_and_keeps_what_was_typed(
    ui: Flask, authority: Authority, name: str, query: str
) -> None:
    browser = signed_in(ui, authority, "viewer")
    answer = browser.post("/ui/views", {"name": name, "query": query})
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert f'name="name" value="{name}"' in answer.text
    assert authority.store.views(browser.person) == ()


def test_a_name_is_given_once_and_there_are_not_too_many(ui: Flask, authority: Authority) -> None:
    browser, other = signed_in(ui, authority, "viewer"), signed_in(ui, authority, "viewer")
    assert [save(browser, "twice"), save(browser, "twice"), save(other, "twice")] == [303, 400, 303]
    assert [save(browser, f"n{number}") for number in range(views.MOST)] == [303] * (views.MOST - 1) + [400]
    assert len(authority.store.views(browser.person)) == views.MOST
    path = f"/ui/views/{authority.store.views(browser.person)[0].id}"
    assert browser.post(path, {"name": "twice", "query": "x"}).status_code == 400


def test_an_outdated_one_explains_itself(ui: Flask, authority: Authority) -> None:
    browser = signed_in(ui, authority, "viewer")
    save(browser, "old")
    (one,) = authority.store.views(browser.person)
    authority.store.change_view(replace(one, query="colour:red"))
    answer = browser.get(offered(browser)["old"])
    assert answer.status_code == 400
    assert "This saved view is outdated" in answer.text
    assert "colour: is no chip" in answer.text
    page = browser.get("/ui/views").text
    assert "outdated" in page
    assert "colour: is no chip" in page


@pytest.mark.slow
def test_names_and_queries_are_text(ui: Flask, authority: Authority) -> None:
    browser = signed_in(ui, authority, "viewer")
    for value in HOSTILE:
        assert save(browser, value[:60] if len(value) < 1000 else value, value[:500]) in (303, 400)
        read(browser.get("/ui/views"))
    assert "<img src=x onerror=alert(1)>" not in browser.get("/ui/certificates").text
    save(browser, HOSTILE[0], "x")
    assert HOSTILE[0] in read(browser.get("/ui/certificates"))
