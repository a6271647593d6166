"""Limits, and what becomes of clients that fail for ever (RFC 8555 §6.6; A-13)."""

import dataclasses
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acme_server.desk import Desk
from acme_server.errors import OverLimit
from acme_server.limits import pauses, rates
from acme_server.limits.rates import Limit
from ca import journal
from ca.authority import Authority
from ca.store import Store
from tests.acme_server.client import ORIGIN, Client, a_name, refused
from tests.acme_server.conftest import Town
from tests.acme_server.test_accounts import another, setting
from tests.acme_server.test_eab import make, register
from tests.acme_server.test_renewal_info import ident
from tests.ca.authority.world import OPERATOR
from web.app import create_app

NOW = 1_800_000_000


@contextmanager
def limited(authority: Authority, client: Client, **limits: int) -> Iterator[Client]:
    """The same server with these limits; a challenge is tried once there, so that failing takes no time."""
    acme = authority.config.acme
    once = acme.validation.model_copy(update={"attempts": 1})
    with setting(authority, client, limits=acme.limits.model_copy(update=limits), validation=once) as made:
        yield made


def over(answer: Any, words: str) -> int:
    refused(answer, "rateLimited", 429)
    assert words in answer.json["detail"]
    assert f'<{ORIGIN}/acme/limits>;rel="help"' in answer.headers.getlist("Link")
    return int(answer.headers["Retry-After"])


# --- the rate itself ----------------------------------------------------------------------------


def take(store: Store, limit: Limit, now: int) -> bool:
    try:
        with store.transaction():
            rates.take(store, [limit], now)
    except OverLimit as error:
        return error.retry_after < 1  # never: it says when to come back
    return True


def test_A13_so_many_at_once_then_spread_over_the_period(store: Store) -> None:
    limit = Limit("x", "things", 4, 3600)
    assert [take(store, limit, NOW) for _ in range(6)] == [True] * 4 + [False] * 2
    assert not take(store, limit, NOW + 899)
    assert take(store, limit, NOW + 900)
    assert not take(store, limit, NOW + 900)
    assert [take(store, limit, NOW + 9000) for _ in range(5)] == [True] * 4 + [False]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(most=st.integers(1, 20), gaps=st.lists(st.integers(0, 400), max_size=40), seed=st.integers(0, 2**60))
def test_A13_no_window_holds_more_than_twice_the_limit(
    sqlite_store: Store, most: int, gaps: list[int], seed: int
) -> None:
    limit, now, taken = Limit(f"p{seed}", "things", most, 1000), NOW, []
    for gap in gaps:
        now += gap
        if take(sqlite_store, limit, now):
            taken.append(now)
    for start in taken:
        assert sum(start <= one < start + 1000 for one in taken) <= 2 * most


def test_A13_of_threads_that_race_no_more_than_the_limit_pass(store: Store) -> None:
    limit, passed = Limit("raced", "things", 5, 3600), []
    threads = [threading.Thread(target=lambda: passed.append(take(store, limit, NOW))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(passed) == 5


def test_several_limits_count_together_or_not_at_all(store: Store) -> None:
    wide, narrow = Limit("wide", "things", 3, 3600), Limit("narrow", "things", 1, 3600)
    with store.transaction():
        rates.take(store, [wide, narrow, wide], NOW)
    for _ in range(5):
        with pytest.raises(OverLimit), store.transaction():
            rates.take(store, [wide, narrow], NOW)
    assert [take(store, wide, NOW) for _ in range(3)] == [True, True, False]
    with store.transaction():
        rates.take(store, [Limit("none", "things", 0, 3600)], NOW)


@pytest.mark.parametrize(
    ("address", "subject"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", "unknown"),
        ("junk", "unknown"),
    ],
)
def test_an_address_is_a_network_of_ipv6(address: str, subject: str) -> None:
    assert rates.accounts_from(address, 1).subject == f"address:{subject}"


# --- by account, name, address, credential ------------------------------------------------------


def test_A13_orders_of_an_account(registered: Client, authority: Authority, town: Town) -> None:
    with limited(authority, registered, orders_per_account=2) as few:
        assert [few.order(a_name()).status_code for _ in range(2)] == [201, 201]
        wait = over(few.order(a_name()), "orders of this account")
        assert 0 < wait <= 1800
        other = another(few)
        other.register()
        assert other.order(a_name()).status_code == 201
        town.clock.ahead = wait
        assert few.order(a_name()).status_code == 201


def test_A13_orders_for_a_name(registered: Client, authority: Authority) -> None:
    name = a_name()
    with limited(authority, registered, orders_per_name=1) as few:
        assert few.order(name, a_name()).status_code == 201
        other = another(few)
        other.register()
        over(other.order(a_name(), name), f"orders for {name}")
        assert other.order(a_name()).status_code == 201


def test_A13_new_accounts_of_an_address(client: Client, authority: Authority) -> None:
    client.http.environ_base["REMOTE_ADDR"] = "10.7.7.7"
    with limited(authority, client, accounts_per_address=1) as few:
        few.http.environ_base["REMOTE_ADDR"] = "10.7.7.7"
        assert few.register().status_code == 201
        assert few.register().status_code == 200  # the same account again counts not
        over(another(few).register(), "new accounts from this address")
        few.http.environ_base["REMOTE_ADDR"] = "10.7.7.8"
        assert another(few).register().status_code == 201


def test_A13_A22_a_credential_s_quota(client: Client, authority: Authority) -> None:
    credential, key = make(Desk(authority), quota=2)
    assert register(client, credential, key).status_code == 201
    other = another(client)
    assert register(other, credential, key).status_code == 201
    assert [one.order(a_name()).status_code for one in (client, other)] == [201, 201]
    over(client.order(a_name()), "orders of this external account")


def test_A13_a_refused_order_uses_nothing_up(registered: Client, authority: Authority) -> None:
    with limited(authority, registered, orders_per_account=1) as few:
        for _ in range(3):
            refused(few.order("www.example.org"), "rejectedIdentifier", 400)
        assert few.order(a_name()).status_code == 201


def test_A13_A35_a_renewal_is_free_once(registered: Client, authority: Authority) -> None:
    name = a_name()
    leaf = registered.obtain(name)
    with limited(authority, registered, orders_per_account=1, orders_per_name=1) as few:
        assert few.order(a_name()).status_code == 201
        over(few.order(name, a_name(), replaces=ident(leaf)), "orders of this account")  # not the same names
        order = few.order(name, replaces=ident(leaf))
        assert order.status_code == 201
        few.post(order.json["authorizations"][0], {"status": "deactivated"})  # it fails, and may be tried again
        over(few.order(name, replaces=ident(leaf)), "orders of this account")  # but is free no more


def test_A13_the_defaults_stop_nobody(authority: Authority) -> None:
    from ca.config import Limits

    assert Limits().orders_per_account >= 100_000
    assert authority.config.acme.limits.orders_per_account == 0  # the demo


def test_A13_an_address_is_believed_from_trusted_proxies_alone(client: Client, authority: Authority) -> None:
    def codes(*addresses: str) -> list[int]:
        config = few.http.application.wsgi_app.desk.authority.config  # type: ignore[attr-defined]
        server = config.server.model_copy(update={"trusted_proxies": trusted})
        changed = config.model_copy(update={"server": server})
        changed._root = config._root
        app = create_app(dataclasses.replace(authority, config=changed), frozenset({"acme"}))
        found = []
        for address in addresses:
            one = another(dataclasses.replace(few, http=app.test_client()))
            one.http.environ_base["HTTP_X_FORWARDED_FOR"] = address
            found.append(one.register().status_code)
        return found

    with limited(authority, client, accounts_per_address=1) as few:
        trusted: list[str] = []
        assert codes("198.51.100.1", "198.51.100.2") == [201, 429]
        trusted = ["127.0.0.0/8"]
        assert codes("198.51.100.3", "198.51.100.3", "198.51.100.4") == [201, 429, 201]


def test_the_page_of_limits_tells_them(client: Client, authority: Authority) -> None:
    with limited(authority, client, orders_per_account=77, failures=0) as few:
        page = few.http.get("/acme/limits")
        assert page.content_type.startswith("text/plain")
        assert "77" in page.text
        assert "no limit" in page.text


# --- pauses -------------------------------------------------------------------------------------


def fail(client: Client, name: str) -> None:
    order = client.order(name)
    assert order.status_code == 201, order.json
    client.prove(order, honest=False)


def link(answer: Any) -> str:
    refused(answer, "rateLimited", 429)
    (found,) = [one for one in answer.headers.getlist("Link") if 'rel="help"' in one]
    url = found.split(">")[0][1:]
    assert url in answer.json["detail"]
    return url


def test_A13_who_fails_for_ever_is_paused(registered: Client, authority: Authority) -> None:
    name, desk = a_name(), Desk(authority)
    account = registered.kid.rpartition("/")[2]
    with limited(authority, registered, failures=2) as few:
        fail(few, name)
        assert not desk.accounts.get(account).paused
        fail(few, name)
        url = link(few.order(a_name(), name))
        refused(few.post(few.url("newAuthz"), {"identifier": {"type": "dns", "value": name}}), "rateLimited", 429)
        assert few.order(a_name()).status_code == 201  # other names are not paused
        other = another(few)
        other.register()
        assert other.order(name).status_code == 201  # nor are other accounts
        path = url.removeprefix(ORIGIN)
        page = few.http.get(path)
        assert (page.status_code, page.content_type) == (200, "text/html; charset=utf-8")
        assert name in page.text
        assert few.order(name).status_code == 429  # looking changes nothing
        assert few.http.head(path).status_code == 200
        assert "Resumed" in few.http.post(path).text
        assert few.http.get(path).status_code == 404
        assert few.http.post(path).status_code == 404
        fail(few, name)  # the count begins anew
        assert few.order(name).status_code == 201
    actions = [one["action"] for one in journal.history(authority.store, f"account:{account}")]
    assert actions == ["account.created", "account.paused", "account.resumed"]


def test_A13_a_success_begins_the_count_anew(registered: Client, authority: Authority, town: Town) -> None:
    name = a_name()
    with limited(authority, registered, failures=2) as few:
        fail(few, name)
        town.clock.ahead = 1
        order = few.ready(name)
        few.post(order.json["authorizations"][0])
        town.clock.ahead = authority.config.acme.authorization_life + 10
        fail(few, name)
        assert few.order(name).status_code == 201


def test_pauses_end_by_an_operator_too(registered: Client, authority: Authority) -> None:
    name, desk = a_name(), Desk(authority)
    with limited(authority, registered, failures=1) as few:
        fail(few, name)
        assert few.order(name).status_code == 429
        account = few.kid.rpartition("/")[2]
        assert pauses.resume(desk, account, OPERATOR) == 1
        assert pauses.resume(desk, account, OPERATOR) == 0
        assert few.order(name).status_code == 201


def test_no_failures_never_pause(registered: Client, authority: Authority) -> None:
    name = a_name()
    with limited(authority, registered, failures=0) as few:
        for _ in range(3):
            fail(few, name)
        assert few.order(name).status_code == 201


@pytest.mark.parametrize("token", ["x", "%00", "a" * 500, "<script>", "..%2f"])
def test_links_that_nobody_made(client: Client, token: str) -> None:
    for method in ("GET", "POST"):
        answer = client.http.open(f"/acme/resume/{token}", method=method)
        assert answer.status_code == 404
        assert answer.json["type"].endswith(":malformed")
