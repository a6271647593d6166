"""Orders before they are finalized: names, times, profiles, reuse of authorizations (RFC 8555 §7.4, §7.5)."""

from typing import Any

import pytest

from acme_server import upkeep
from acme_server.desk import Desk
from ca import journal
from ca.authority import Authority
from ca.clock import rfc3339
from tests.acme_server.client import ERROR, ORIGIN, Client, a_name, csr, refused
from tests.acme_server.conftest import Town
from tests.acme_server.signing import b64
from tests.acme_server.test_accounts import setting


def ident(url: str) -> str:
    return url.rpartition("/")[2]


# --- placing ------------------------------------------------------------------------------------


def test_A25_a_new_order(registered: Client, authority: Authority) -> None:
    first, second = a_name(), a_name()
    order = registered.order(first, second)
    assert order.status_code == 201
    assert order.headers["Location"].startswith(f"{ORIGIN}/acme/order/")
    assert order.json["status"] == "pending"
    assert order.json["identifiers"] == [{"type": "dns", "value": first}, {"type": "dns", "value": second}]
    assert len(set(order.json["authorizations"])) == 2
    assert order.json["finalize"] == order.headers["Location"] + "/finalize"
    assert order.json["expires"] > rfc3339(authority.clock() + authority.config.acme.order_life - 60)
    assert "certificate" not in order.json
    assert "error" not in order.json
    (event,) = journal.history(authority.store, f"order:{ident(order.headers['Location'])}")
    assert event["action"] == "order.created"
    assert first not in str(event)


def test_A17_a_new_authorization(registered: Client) -> None:
    name = a_name()
    (authorization,) = registered.authorizations(registered.order(name))
    assert authorization.json["identifier"] == {"type": "dns", "value": name}
    assert authorization.json["status"] == "pending"
    assert authorization.json["expires"]
    assert "wildcard" not in authorization.json
    found = authorization.json["challenges"]
    assert [one["type"] for one in found] == ["http-01", "dns-01", "tls-alpn-01", "dns-account-01"]
    assert {one["status"] for one in found} == {"pending"}
    assert len({one["token"] for one in found}) == len({one["url"] for one in found}) == len(found)
    assert all(one["url"].startswith(f"{ORIGIN}/acme/chall/") for one in found)


def test_A31_tokens_have_256_random_bits(registered: Client) -> None:
    found = set()
    for _ in range(5):
        (authorization,) = registered.authorizations(registered.order(a_name()))
        found.add(authorization.json["challenges"][0]["token"])
    assert len(found) == 5
    assert {len(token) for token in found} == {43}


def test_A25_upper_case_and_repetition_are_made_normal(registered: Client) -> None:
    name = a_name()
    order = registered.order(name.upper(), name, name.title())
    assert order.json["identifiers"] == [{"type": "dns", "value": name}]
    assert len(order.json["authorizations"]) == 1


def test_A34_addresses_may_be_ordered(registered: Client, authority: Authority) -> None:
    identifiers = [{"type": "ip", "value": "10.1.2.3"}, {"type": "ip", "value": "127.1.2.3"}]
    order = registered.post(registered.url("newOrder"), {"identifiers": identifiers})
    assert order.status_code == 201
    assert order.json["identifiers"] == identifiers
    assert Desk(authority).orders.get(ident(order.headers["Location"])).identifiers[0].kind == "ip"


REFUSED = {
    "outside the CA": ("dns", "www.example.org", "ca.permitted_names"),
    "reserved: the product's own": ("dns", "localhost", "reserved"),
    "a wildcard outside the CA": ("dns", "*.example.org", "ca.permitted_names"),
    "a star inside": ("dns", "a.*.localhost", ""),
    "two stars": ("dns", "**.localhost", ""),
    "an address as a name": ("dns", "10.1.2.3", ""),
    "a public address": ("ip", "8.8.8.8", "ca.permitted_names"),
    "a name as an address": ("ip", "www.localhost", ""),
    "a network": ("ip", "10.0.0.0/8", ""),
    "an address in another form": ("ip", "010.1.2.3", ""),
    "IPv6 in another form": ("ip", "0:0:0:0:0:0:0:1", "::1"),
    "mapped": ("ip", "::ffff:10.1.2.3", ""),
    "empty": ("dns", "", ""),
    "a dot at the end": ("dns", "www.localhost.", ""),
    "an empty label": ("dns", "a..localhost", ""),
    "an underscore": ("dns", "a_b.localhost", ""),
    "a space": ("dns", "a b.localhost", ""),
    "a NUL": ("dns", "a\0.localhost", ""),
    "a slash": ("dns", "a.localhost/x", ""),
    "a port": ("dns", "a.localhost:80", ""),
    "U-labels": ("dns", "bücher.localhost", "xn--bcher-kva.localhost"),
    "a long label": ("dns", "a" * 64 + ".localhost", ""),
    "a long name": ("dns", "a." * 130 + "localhost", ""),
}


@pytest.mark.parametrize(("kind", "value", "words"), REFUSED.values(), ids=REFUSED)
def test_A25_names_that_are_not_to_be_had(registered: Client, kind: str, value: str, words: str) -> None:
    answer = registered.post(registered.url("newOrder"), {"identifiers": [{"type": kind, "value": value}]})
    refused(answer, "rejectedIdentifier", 400)
    assert words in answer.json["detail"]
    (sub,) = answer.json["subproblems"]
    assert sub["identifier"] == {"type": kind, "value": value[:300]}


def test_A14_INC07_each_refused_name_is_told_by_itself(registered: Client) -> None:
    names = [a_name(), "one.example.org", a_name(), "two.example.org", "*.x.example.org"]
    answer = registered.order(*names)
    refused(answer, "rejectedIdentifier", 400)
    assert [one["identifier"]["value"] for one in answer.json["subproblems"]] == [names[1], names[3], names[4]]
    assert {one["type"] for one in answer.json["subproblems"]} == {ERROR + "rejectedIdentifier"}


@pytest.mark.parametrize("kind", ["email", "DNS", "uri", "", "permanent-identifier"])
def test_A25_unsupported_kinds(registered: Client, kind: str) -> None:
    identifiers = [{"type": "dns", "value": a_name()}, {"type": kind, "value": "spiffe://a/b"}]
    refused(registered.post(registered.url("newOrder"), {"identifiers": identifiers}), "unsupportedIdentifier", 400)


OTHER_FORMS = [
    [], None, [{}], [{"type": "dns"}], ["a.localhost"], [{"type": "dns", "value": 1}],
    {"type": "dns", "value": "a.test"},
]  # fmt: skip


@pytest.mark.parametrize("identifiers", OTHER_FORMS)
def test_orders_of_another_form_are_malformed(registered: Client, identifiers: Any) -> None:
    refused(registered.post(registered.url("newOrder"), {"identifiers": identifiers}), "malformed", 400)


def test_A32_too_many_names_are_malformed(registered: Client, authority: Authority) -> None:
    most = authority.config.acme.max_names
    assert registered.order(*(f"n{n}.many.localhost" for n in range(most))).status_code == 201
    refused(registered.order(*(f"n{n}.many.localhost" for n in range(most + 1))), "malformed", 400)


# --- profiles and times -------------------------------------------------------------------------


def test_the_profile_s_own_new_order_issues_by_it(registered: Client, authority: Authority) -> None:
    name = a_name()
    payload = {"identifiers": [{"type": "dns", "value": name}]}
    order = registered.post(f"{ORIGIN}/acme/short-lived/new-order", payload)
    registered.prove(order)
    assert registered.finalize(order).json["status"] == "valid"
    serial = int(ident(registered.post(order.headers["Location"]).json["certificate"]), 16)
    certificate = authority.certificate(serial)
    assert certificate.profile == "short-lived"
    assert certificate.not_after - certificate.not_before < 7 * 86400


@pytest.mark.parametrize("profile", ["client", "own", "nothing"])
def test_new_order_of_a_profile_that_is_not_offered(registered: Client, profile: str) -> None:
    payload = {"identifiers": [{"type": "dns", "value": a_name()}]}
    refused(registered.post(f"{ORIGIN}/acme/{profile}/new-order", payload), "malformed", 404)


def test_A25_times_are_honoured_to_the_second(registered: Client, authority: Authority) -> None:
    start = authority.clock() - 60
    end = start + 5 * 86400
    order = registered.ready(notBefore=rfc3339(start), notAfter=rfc3339(end))
    assert (order.json["notBefore"], order.json["notAfter"]) == (rfc3339(start), rfc3339(end))
    (leaf, *_) = registered.chain(registered.finalize(order))
    assert int(leaf.not_valid_before_utc.timestamp()) == start
    assert int(leaf.not_valid_after_utc.timestamp()) == end


@pytest.mark.parametrize("times", [
    {"notAfter": "2001-01-01T00:00:00Z"}, {"notAfter": "2999-01-01T00:00:00Z"}, {"notBefore": "2001-01-01T00:00:00Z"},
    {"notBefore": "2999-01-01T00:00:00Z"}, {"notAfter": "tomorrow"}, {"notAfter": "2030-01-01"}, {"notAfter": 5},
    {"notAfter": "2030-01-01T00:00:00"}, {"notAfter": "2030-13-01T00:00:00Z"}, {"notAfter": "1969-01-01T00:00:00Z"},
    {"notAfter": "2030-01-01T00:00:00.5Z"}, {"notAfter": "0001-01-01T00:00:00Z"},
])  # fmt: skip
def test_A25_other_times_are_refused(registered: Client, times: dict[str, Any]) -> None:
    refused(registered.order(a_name(), **times), "malformed", 400)


# --- authorizations -----------------------------------------------------------------------------


def test_A29_B08_a_valid_authorization_serves_the_next_order(
    registered: Client, authority: Authority, town: Town
) -> None:
    name, other = a_name(), a_name()
    first = registered.ready(name)
    second = registered.order(name)
    assert second.json["status"] == "ready"
    assert second.json["authorizations"] == first.json["authorizations"]
    (authorization,) = registered.authorizations(second)
    assert authorization.json["expires"] == second.json["expires"]  # no order outlives an authorization
    both = registered.order(name, other)
    assert both.json["status"] == "pending"
    assert both.json["authorizations"][0] == first.json["authorizations"][0]
    town.clock.ahead = authority.config.acme.authorization_life
    late = registered.order(name)
    assert late.json["status"] == "pending"
    assert late.json["authorizations"] != first.json["authorizations"]


def test_a_pending_authorization_is_not_shared(registered: Client) -> None:
    name = a_name()
    assert registered.order(name).json["authorizations"] != registered.order(name).json["authorizations"]


def test_another_account_s_authorization_is_not_used(registered: Client) -> None:
    from tests.acme_server.test_accounts import another

    name = a_name()
    registered.ready(name)
    other = another(registered)
    other.register()
    assert other.order(name).json["status"] == "pending"


def test_A29_a_deactivated_authorization_is_used_no_more(registered: Client, authority: Authority) -> None:
    name = a_name()
    order = registered.ready(name)
    url = order.json["authorizations"][0]
    answer = registered.post(url, {"status": "deactivated"})
    assert (answer.status_code, answer.json["status"]) == (200, "deactivated")
    assert "expires" not in answer.json
    assert registered.post(url, {"status": "deactivated"}).json["status"] == "deactivated"
    after = registered.post(order.headers["Location"]).json
    assert after["status"] == "invalid"
    assert after["error"]["identifier"] == {"type": "dns", "value": name}
    refused(registered.finalize(order), "orderNotReady", 403)
    assert registered.order(name).json["status"] == "pending"
    actions = [row["action"] for row in journal.history(authority.store, f"authorization:{ident(url)}")]
    assert actions == ["authorization.valid", "authorization.deactivated"]
    assert (
        journal.history(authority.store, f"order:{ident(order.headers['Location'])}")[-1]["action"] == "order.invalid"
    )


@pytest.mark.parametrize("payload", [{}, {"status": "valid"}, {"status": "pending"}, {"status": None}, {"x": 1}])
def test_A18_an_authorization_changes_in_no_other_way(registered: Client, payload: dict[str, Any]) -> None:
    url = registered.order(a_name()).json["authorizations"][0]
    assert registered.post(url, payload).json["status"] == "pending"


# --- time ---------------------------------------------------------------------------------------


def test_A16_an_order_is_invalid_when_its_time_is_over(registered: Client, authority: Authority, town: Town) -> None:
    order = registered.order(a_name())
    ready = registered.ready()
    town.clock.ahead = authority.config.acme.order_life + 1
    for one in (order, ready):
        assert registered.post(one.headers["Location"]).json["status"] == "invalid"
        refused(registered.finalize(one), "orderNotReady", 403)
    report = upkeep.expire(Desk(authority))
    assert report.done >= 4
    assert "expired" in registered.post(order.headers["Location"]).json["error"]["detail"]
    assert upkeep.expire(Desk(authority)).done == 0
    assert (
        journal.history(authority.store, f"order:{ident(order.headers['Location'])}")[-1]["action"] == "order.invalid"
    )
    (authorization,) = registered.authorizations(order)
    assert authorization.json["status"] == "invalid"
    (authorization,) = registered.authorizations(ready)
    assert authorization.json["status"] == "expired"


def test_A26_an_expired_authorization_takes_its_order_along(
    registered: Client, authority: Authority, town: Town
) -> None:
    order = registered.ready()
    town.clock.ahead = authority.config.acme.authorization_life + 1
    refused(registered.finalize(order), "orderNotReady", 403)
    assert registered.post(order.headers["Location"]).json["status"] == "invalid"


def test_A32_challenge_of_an_expired_authorization_is_not_tried(
    registered: Client, authority: Authority, town: Town
) -> None:
    order = registered.order(a_name())
    (authorization,) = registered.authorizations(order)
    challenge = authorization.json["challenges"][0]
    town.clock.ahead = authority.config.acme.order_life + 1
    assert registered.post(challenge["url"], {}).json["status"] == "pending"
    assert challenge["token"] not in town.asked


def test_a_short_authorization_life_still_lets_an_order_finish(registered: Client, authority: Authority) -> None:
    with setting(authority, registered, authorization_life=0) as hasty:
        name = a_name()
        order = hasty.ready(name)
        assert hasty.finalize(order, csr(name)).json["status"] == "valid"
        assert hasty.order(name).json["status"] == "pending"


def test_a_csr_is_not_read_before_the_order_is_ready(registered: Client) -> None:
    order = registered.order(a_name())
    refused(registered.post(order.json["finalize"], {"csr": b64(b"junk")}), "orderNotReady", 403)
