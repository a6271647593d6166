"""One proof for a domain and all below it (RFC 9444): what it is good for, and what it is not."""

import time
from typing import Any

import pytest

from acme_server.validation import dns01
from ca.authority import Authority
from ca.config import Config
from ca.names import parse_dns
from tests.acme_server.client import Client, a_name, csr, refused
from tests.acme_server.conftest import Town
from tests.acme_server.test_challenges import proof, prove_by_dns


@pytest.fixture
def on(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(authority.config.acme.__dict__, "subdomains", True)


@pytest.fixture
def domain() -> str:
    return f"{a_name().split('.')[0]}.zone.localhost"


def below(domain: str, *names: str, **more: Any) -> list[dict[str, Any]]:
    """Identifiers below a domain, with it as their ancestor."""
    return [{"type": "dns", "value": f"{name}.{domain}", "ancestorDomain": domain, **more} for name in names]


def place(client: Client, identifiers: list[dict[str, Any]]) -> Any:
    return client.post(client.url("newOrder"), {"identifiers": identifiers})


def test_one_proof_for_many_names(on: None, registered: Client, town: Town, domain: str) -> None:
    assert registered.http.get("/acme/directory").json["meta"]["subdomainAuthAllowed"] is True
    order = place(registered, below(domain, "a", "b.c", "*.d"))
    (authorization,) = registered.authorizations(order)
    assert authorization.json["identifier"] == {"type": "dns", "value": domain}
    assert authorization.json["subdomainAuthAllowed"] is True
    assert [one["type"] for one in authorization.json["challenges"]] == ["dns-01", "dns-account-01"]
    prove_by_dns(registered, town, order)
    names = [one["value"] for one in order.json["identifiers"]]
    assert names == [f"a.{domain}", f"b.c.{domain}", f"*.d.{domain}"]
    done = registered.finalize(registered.post(order.headers["Location"]), csr(*names))
    assert done.json["status"] == "valid"


def test_it_serves_later_orders_for_all_below_it(on: None, registered: Client, town: Town, domain: str) -> None:
    order = place(registered, below(domain, "a"))
    prove_by_dns(registered, town, order)
    for name in (f"z.{domain}", f"x.y.{domain}", f"*.{domain}", domain):
        later = registered.order(name)
        assert (later.json["status"], later.json["authorizations"]) == ("ready", order.json["authorizations"])
    for name in (f"x{domain}", f"a.x{domain}", "zone.localhost"):
        assert registered.order(name).json["status"] == "pending"


def test_it_serves_nobody_else(on: None, registered: Client, town: Town, domain: str, app: Any) -> None:
    prove_by_dns(registered, town, place(registered, below(domain, "a")))
    other = Client(app.test_client(), town.shown)
    other.register()
    assert other.order(f"a.{domain}").json["status"] == "pending"


def test_it_is_good_for_nothing_once_it_is_switched_off(
    on: None, registered: Client, town: Town, domain: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove_by_dns(registered, town, place(registered, below(domain, "a")))
    monkeypatch.setitem(authority.config.acme.__dict__, "subdomains", False)
    assert registered.order(f"z.{domain}").json["status"] == "pending"


def test_off_an_ancestor_is_not_understood(registered: Client, domain: str) -> None:
    order = place(registered, below(domain, "a"))
    (authorization,) = registered.authorizations(order)
    assert authorization.json["identifier"]["value"] == f"a.{domain}"
    assert "subdomainAuthAllowed" not in authorization.json
    assert "subdomainAuthAllowed" not in registered.http.get("/acme/directory").json["meta"]


def test_INC07_the_proof_of_a_domain_alone_is_none_of_what_lies_below(
    on: None, registered: Client, town: Town, domain: str
) -> None:
    """Both in one order: two authorizations for one identifier, and only one of them reaches below."""
    order = place(registered, [{"type": "dns", "value": domain}, *below(domain, "a")])
    plain, wide = registered.authorizations(order)
    assert ("subdomainAuthAllowed" in plain.json, wide.json["subdomainAuthAllowed"]) == (False, True)
    prove_by_dns(registered, town, registered.order(domain))
    assert registered.order(f"a.{domain}").json["status"] == "pending"


@pytest.mark.parametrize(
    "ancestor", ["other.localhost", "a.zone.localhost", "calhost", "*.localhost", "", "a b", "1.2.3.4"]
)
def test_an_ancestor_that_is_none(on: None, registered: Client, ancestor: str) -> None:
    one = {"type": "dns", "value": "www.zone.localhost", "ancestorDomain": ancestor}
    answer = place(registered, [one])
    if ancestor:
        refused(answer, "malformed", 400)
    else:
        assert answer.status_code == 201


def test_an_address_has_no_ancestor(on: None, registered: Client) -> None:
    refused(place(registered, [{"type": "ip", "value": "127.1.2.3", "ancestorDomain": "localhost"}]), "malformed", 400)


def test_newauthz_asks_ahead(on: None, registered: Client, town: Town, domain: str) -> None:
    wanted = {"type": "dns", "value": domain, "subdomainAuthAllowed": True}
    made = registered.post(registered.url("newAuthz"), {"identifier": wanted})
    assert (made.status_code, made.json["subdomainAuthAllowed"]) == (201, True)
    challenge = next(one for one in made.json["challenges"] if one["type"] == "dns-01")
    text = dns01.digest(proof(registered, parse_dns(domain), challenge))
    town.zone.texts[f"_acme-challenge.{domain}"] = [text]
    registered.post(challenge["url"], {})
    _wait(registered, made.headers["Location"])
    assert registered.order(f"a.{domain}").json["status"] == "ready"
    assert registered.post(registered.url("newAuthz"), {"identifier": wanted}).status_code == 200


def _wait(client: Client, url: str) -> None:
    end = time.monotonic() + 10
    while client.post(url).json["status"] == "pending":
        assert time.monotonic() < end
        time.sleep(0.03)


def test_caa_is_asked_for_each_name_so_both_cannot_be_on() -> None:
    with pytest.raises(ValueError, match=r"acme\.subdomains"):
        Config(acme={"subdomains": True, "caa": "on"})  # type: ignore[arg-type]
