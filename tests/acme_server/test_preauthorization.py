"""newAuthz: proving control before there is an order (RFC 8555 §7.4.1)."""

from typing import Any

import pytest

from ca.authority import Authority
from tests.acme_server.client import ORIGIN, Client, a_name, refused
from tests.acme_server.test_accounts import another, setting
from tests.acme_server.test_limits import limited, over


def request(client: Client, value: str, kind: str = "dns") -> Any:
    return client.post(client.url("newAuthz"), {"identifier": {"type": kind, "value": value}})


def prove(client: Client, authorization: Any) -> None:
    client.prove(type("Order", (), {"json": {"authorizations": [authorization.headers["Location"]]}})())


def test_A28_a_name_is_authorized_ahead_and_serves_orders(registered: Client) -> None:
    name = a_name()
    answer = request(registered, name)
    assert answer.status_code == 201
    assert answer.headers["Location"].startswith(f"{ORIGIN}/acme/authz/")
    assert answer.json["status"] == "pending"
    assert answer.json["identifier"] == {"type": "dns", "value": name}
    assert answer.json["challenges"][0]["token"]
    prove(registered, answer)
    order = registered.order(name)
    assert order.json["status"] == "ready"
    assert order.json["authorizations"] == [answer.headers["Location"]]


def test_a_name_that_is_proved_already_is_shown(registered: Client) -> None:
    name = a_name()
    order = registered.ready(name)
    answer = request(registered, name)
    assert (answer.status_code, answer.json["status"]) == (200, "valid")
    assert answer.headers["Location"] == order.json["authorizations"][0]


def test_a_name_that_waits_for_its_proof_is_shown_and_not_piled_up(registered: Client) -> None:
    name = a_name()
    first = request(registered, name)
    again = request(registered, name)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["Location"] == first.headers["Location"]
    registered.post(first.headers["Location"], {"status": "deactivated"})
    assert request(registered, name).status_code == 201


def test_A13_names_authorized_ahead_count_as_orders(registered: Client, authority: Authority) -> None:
    with limited(authority, registered, orders_per_account=2) as few:
        name = a_name()
        assert [request(few, one).status_code for one in (name, name, name, a_name())] == [201, 200, 200, 201]
        over(request(few, a_name()), "orders of this account")
        over(few.order(a_name()), "orders of this account")


def test_another_account_s_name_has_to_be_proved_again(registered: Client) -> None:
    name = a_name()
    registered.ready(name)
    other = another(registered)
    other.register()
    assert request(other, name).status_code == 201


@pytest.mark.parametrize(
    ("kind", "value", "error"),
    [
        ("dns", "*.deep.localhost", "rejectedIdentifier"),
        ("dns", "www.example.org", "rejectedIdentifier"),
        ("dns", "", "rejectedIdentifier"),
        ("dns", "localhost", "rejectedIdentifier"),
        ("email", "a@b.test", "unsupportedIdentifier"),
    ],
)
def test_A25_what_cannot_be_had_is_not_authorized_either(registered: Client, kind: str, value: str, error: str) -> None:
    refused(request(registered, value, kind), error, 400)


@pytest.mark.parametrize("payload", [{}, {"identifier": []}, {"identifier": {"type": "dns"}}, b"", b"[]"])
def test_other_forms_are_malformed(registered: Client, payload: Any) -> None:
    refused(registered.post(registered.url("newAuthz"), payload), "malformed", 400)


def test_A21_terms_come_first(registered: Client, authority: Authority) -> None:
    with setting(authority, registered, terms_of_service="https://ca.test/terms/3") as strict:
        refused(request(strict, a_name()), "userActionRequired", 403)
        assert strict.post(strict.kid, {"termsOfServiceAgreed": True}).json["termsOfServiceAgreed"] is True
        assert request(strict, a_name()).status_code == 201


def test_each_profile_has_its_own(registered: Client) -> None:
    url = registered.http.get("/acme/short-lived/directory").json["newAuthz"]
    assert registered.post(url, {"identifier": {"type": "dns", "value": a_name()}}).status_code == 201
    url = url.replace("short-lived", "nothing")
    refused(registered.post(url, {"identifier": {"type": "dns", "value": a_name()}}), "malformed", 404)
