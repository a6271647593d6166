"""Accounts: registration, contacts, terms, deactivation, change of key (RFC 8555 §7.3)."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from acme_server.door import Door
from ca import journal
from ca.authority import Authority
from tests.acme_server import signing
from tests.acme_server.client import ORIGIN, Client, a_name, refused
from tests.acme_server.conftest import make_app
from tests.acme_server.signing import b64


def fresh() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def another(client: Client, **more: Any) -> Client:
    """A client of the same server with a key of its own."""
    return replace(client, key=fresh(), kid="", **more)


@contextmanager
def setting(authority: Authority, client: Client, **acme: Any) -> Iterator[Client]:
    """The same records, served with another configuration."""
    config = authority.config.model_copy(update={"acme": authority.config.acme.model_copy(update=acme)})
    config._root = authority.config._root
    yield replace(client, http=make_app(replace(authority, config=config)).test_client(), directory={})


def events(authority: Authority, target: str) -> tuple[dict[str, Any], ...]:
    return journal.history(authority.store, target)


# --- registration -------------------------------------------------------------------------------


def test_A19_a_new_account(client: Client, authority: Authority) -> None:
    answer = client.register(
        contact=["mailto:admin@example.org", "mailto:admin@example.org"], termsOfServiceAgreed=True
    )
    assert answer.status_code == 201
    assert answer.headers["Location"].startswith(f"{ORIGIN}/acme/acct/")
    assert answer.json == {
        "status": "valid",
        "contact": ["mailto:admin@example.org"],
        "orders": answer.headers["Location"] + "/orders",
    }
    (event,) = events(authority, f"account:{client.kid.rpartition('/')[2]}")
    assert event["action"] == "account.created"
    assert "admin@example.org" not in json.dumps(event)


KEYS = [fresh(), ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)]  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=signing.algorithm)
def test_A04_each_algorithm_may_hold_an_account(client: Client, key: signing.PrivateKey) -> None:
    client.key = key
    assert client.register().status_code == 201
    assert client.post(client.kid).json["status"] == "valid"


def test_A19_an_existing_key_gets_its_account(registered: Client) -> None:
    first = registered.kid
    answer = registered.register(contact=["mailto:other@example.org"])
    assert (answer.status_code, answer.headers["Location"]) == (200, first)
    assert answer.json["contact"] == []


def test_A19_unknown_and_owned_fields_are_ignored(client: Client) -> None:
    answer = client.register(
        status="deactivated", orders="https://evil.test/", id="1", unknown={"a": [1]}, contact=None
    )
    assert answer.status_code == 201
    assert answer.json["status"] == "valid"
    assert answer.json["orders"] == client.kid + "/orders"


def test_A20_only_return_existing(client: Client) -> None:
    refused(client.register(onlyReturnExisting=True), "accountDoesNotExist", 400)
    client.kid = ""
    assert client.register().status_code == 201
    assert client.register(onlyReturnExisting=True).status_code == 200


def test_two_registrations_at_once_make_one_account(client: Client) -> None:
    answers: list[Any] = []
    clients = [replace(client) for _ in range(6)]
    threads = [threading.Thread(target=lambda one=one: answers.append(one.register())) for one in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]


@pytest.mark.parametrize("payload", [{"contact": "mailto:a@b.test"}, {"contact": [1]}, {"onlyReturnExisting": "yes"},
                                     {"termsOfServiceAgreed": 1}, {"externalAccountBinding": "x"}])  # fmt: skip
def test_members_of_other_types_are_malformed(client: Client, payload: dict[str, Any]) -> None:
    refused(client.register(**payload), "malformed", 400)


# --- contacts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("contact", ["mailto:a@example.org", "MAILTO:a.b+c@sub.example.org", "mailto:x_y@localhost"])
def test_A19_good_contacts(client: Client, contact: str) -> None:
    assert client.register(contact=[contact]).status_code == 201


BAD_CONTACTS = [
    "mailto:", "mailto:a", "mailto:@example.org", "mailto:a@", "mailto:a@b@c.org", "mailto:a@b.org,c@d.org",
    "mailto:a@example.org?subject=x", "mailto:a@example.org?cc=b@example.org", "mailto:a b@example.org", "a@b.org",
    "mailto:a@exa_mple.org", "mailto:a@.org", "mailto:.a@example.org", "mailto:a%40b@example.org", "", "://",
    "mailto:\n@x.org", "mailto:" + "a" * 400 + "@example.org", "mailto:Admin <a@example.org>",
]  # fmt: skip


@pytest.mark.parametrize("contact", BAD_CONTACTS)
def test_A19_bad_contacts(client: Client, contact: str) -> None:
    refused(client.register(contact=[contact]), "invalidContact", 400)


@pytest.mark.parametrize("contact", ["tel:+491234", "https://example.org/", "xmpp:a@b.test", "javascript:alert(1)"])
def test_A19_contacts_of_other_kinds(client: Client, contact: str) -> None:
    refused(client.register(contact=["mailto:a@example.org", contact]), "unsupportedContact", 400)


def test_A19_too_many_contacts(client: Client) -> None:
    refused(client.register(contact=[f"mailto:a{n}@example.org" for n in range(11)]), "invalidContact", 400)


# --- looking at it and changing it --------------------------------------------------------------


def test_an_account_is_shown_to_its_owner(registered: Client) -> None:
    for payload in (b"", {}):
        answer = registered.post(registered.kid, payload)
        assert (answer.status_code, answer.json["status"]) == (200, "valid")


def test_contacts_are_changed_and_cleared(registered: Client, authority: Authority) -> None:
    assert registered.post(registered.kid, {"contact": ["mailto:b@example.org"]}).json["contact"] == [
        "mailto:b@example.org"
    ]
    assert registered.post(registered.kid, {}).json["contact"] == ["mailto:b@example.org"]
    assert registered.post(registered.kid, {"contact": []}).json["contact"] == []
    actions = [one["action"] for one in events(authority, f"account:{registered.kid.rpartition('/')[2]}")]
    assert actions == ["account.created", "account.updated", "account.updated"]


def test_an_update_ignores_what_the_server_owns(registered: Client) -> None:
    answer = registered.post(registered.kid, {"status": "revoked", "orders": "x", "termsOfServiceAgreed": True})
    assert answer.json["status"] == "valid"
    refused(registered.post(registered.kid, {"contact": ["tel:1"]}), "unsupportedContact", 400)


# --- deactivation -------------------------------------------------------------------------------


def test_A24_a_deactivated_account_can_do_nothing_for_ever(registered: Client, authority: Authority) -> None:
    done = registered.obtain()
    pending = registered.order(a_name())
    ready = registered.ready()
    answer = registered.post(registered.kid, {"status": "deactivated"})
    assert (answer.status_code, answer.json["status"]) == (200, "deactivated")
    attempts = [
        registered.post(registered.kid),
        registered.post(registered.kid, {"status": "valid"}),
        registered.order(a_name()),
        registered.post(pending.headers["Location"]),
        registered.finalize(ready),
        registered.revoke(done),
        registered.register(),
        registered.register(onlyReturnExisting=True),
    ]
    for attempt in attempts:
        refused(attempt, "unauthorized", 403)
    door = Door(authority)
    for order in (pending, ready):
        row = door.desk.orders.get(order.headers["Location"].rpartition("/")[2])
        assert (row.status, "deactivated" in row.error) == ("invalid", True)
    authorization = door.desk.proofs.get(pending.json["authorizations"][0].rpartition("/")[2])
    assert authorization.status == "deactivated"
    assert events(authority, f"account:{answer.json['orders'].split('/')[-2]}")[-1]["action"] == "account.deactivated"


# --- terms of service and external accounts -----------------------------------------------------


def test_A21_terms_have_to_be_agreed_to(client: Client, authority: Authority) -> None:
    terms = "https://ca.test/terms/1"
    with setting(authority, client, terms_of_service=terms) as strict:
        assert strict.http.get("/acme/directory").json["meta"]["termsOfService"] == terms
        for payload in ({}, {"termsOfServiceAgreed": False}):
            answer = strict.register(**payload)
            refused(answer, "userActionRequired", 403)
            assert f'<{terms}>;rel="terms-of-service"' in answer.headers.getlist("Link")
            assert answer.json["instance"] == terms
            strict.kid = ""
        agreed = strict.register(termsOfServiceAgreed=True)
        assert (agreed.status_code, agreed.json["termsOfServiceAgreed"]) == (201, True)
        assert strict.order(a_name()).status_code == 201


def test_A21_changed_terms_have_to_be_agreed_to_again(registered: Client, authority: Authority) -> None:
    with setting(authority, registered, terms_of_service="https://ca.test/terms/2") as strict:
        refused(strict.order(a_name()), "userActionRequired", 403)
        assert strict.register().status_code == 200
        refused(strict.order(a_name()), "userActionRequired", 403)
        assert strict.register(termsOfServiceAgreed=True).status_code == 200
        assert strict.order(a_name()).status_code == 201


def test_A22_external_accounts_are_required_where_configured(client: Client, authority: Authority) -> None:
    with setting(authority, client, external_account_required=True) as strict:
        assert strict.http.get("/acme/directory").json["meta"]["externalAccountRequired"] is True
        refused(strict.register(), "externalAccountRequired", 403)
        strict.kid = ""


# --- the list of orders -------------------------------------------------------------------------


def test_orders_are_listed_page_by_page(registered: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acme_server.accounts.PAGE", 3)
    placed = [registered.order(a_name()).headers["Location"] for _ in range(7)]
    found: list[str] = []
    url = registered.kid + "/orders"
    while url:
        answer = registered.post(url)
        found += answer.json["orders"]
        more = [link for link in answer.headers.getlist("Link") if 'rel="next"' in link]
        url = more[0].split(">")[0][1:] if more else ""
    assert sorted(found) == sorted(placed)
    assert len(found) == len(set(found))


def test_invalid_orders_are_not_listed(registered: Client) -> None:
    order = registered.order(a_name())
    registered.post(order.json["authorizations"][0], {"status": "deactivated"})
    assert registered.post(registered.kid + "/orders").json["orders"] == []


# --- change of key ------------------------------------------------------------------------------


def change(client: Client, new: signing.PrivateKey, outer: dict[str, Any] | None = None, **lies: Any) -> Any:
    """A keyChange; `lies` are members of the inner JWS (`url`, `jwk`, `account`, `oldKey`, `by`)."""
    url = client.url("keyChange")
    head = {"alg": signing.algorithm(new), "url": lies.get("url", url), "jwk": lies.get("jwk", signing.jwk(new))}
    payload = {"account": lies.get("account", client.kid), "oldKey": lies.get("oldKey", signing.jwk(client.key))}
    inner = signing.sign(lies.get("by", new), {**head, **lies.get("head", {})}, lies.get("payload", payload))
    return client.post(url, inner, **(outer or {}))


@pytest.mark.parametrize("new", [fresh(), ed25519.Ed25519PrivateKey.generate()], ids=signing.algorithm)
def test_A23_the_key_is_changed(registered: Client, authority: Authority, new: signing.PrivateKey) -> None:
    old = registered.key
    answer = change(registered, new)
    assert (answer.status_code, answer.headers["Location"]) == (200, registered.kid)
    refused(
        registered.post(registered.kid),
        "badSignatureAlgorithm" if signing.algorithm(new) == "EdDSA" else "malformed",
        400,
    )
    registered.key = new
    assert registered.post(registered.kid).status_code == 200
    released = replace(registered, key=old, kid="")
    refused(released.register(onlyReturnExisting=True), "accountDoesNotExist", 400)
    assert events(authority, f"account:{registered.kid.rpartition('/')[2]}")[-1]["reason"] == "key"


def test_A23_a_key_that_is_in_use_is_a_conflict(registered: Client) -> None:
    other = another(registered)
    other.register()
    for held in (other.key, registered.key):
        answer = change(registered, held)
        assert answer.status_code == 409
        assert answer.headers["Location"] == (other.kid if held is other.key else registered.kid)


BAD_CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "another url inside": ({"url": f"{ORIGIN}/acme/new-order"}, "malformed"),
    "another account": ({"account": f"{ORIGIN}/acme/acct/x"}, "unauthorized"),
    "another old key": ({"oldKey": signing.jwk(fresh())}, "malformed"),
    "no old key": ({"oldKey": {}}, "badPublicKey"),
    "signed by another key": ({"by": fresh()}, "malformed"),
    "no jwk inside": ({"head": {"jwk": {}}}, "badPublicKey"),
    "weak new key": ({"head": {"jwk": {"kty": "RSA", "n": b64(b"\xff" * 128), "e": "AQAB"}}}, "badPublicKey"),
    "a foreign header inside": ({"head": {"crit": []}}, "malformed"),
    "payload without members": ({"payload": {}}, "malformed"),
    "payload is a list": ({"payload": b"[]"}, "malformed"),
}


@pytest.mark.parametrize(("lies", "kind"), BAD_CHANGES.values(), ids=BAD_CHANGES)
def test_A23_each_check_of_the_change(registered: Client, lies: dict[str, Any], kind: str) -> None:
    answer = change(registered, fresh(), **lies)
    refused(answer, kind, 403 if kind == "unauthorized" else 400)
    assert registered.post(registered.kid).status_code == 200


def test_A23_the_old_key_has_to_ask(registered: Client) -> None:
    """An outer JWS by the new key, or by a jwk, changes nothing."""
    new = fresh()
    refused(change(registered, new, {"key": new}), "malformed", 400)
    refused(registered.post(registered.url("keyChange"), b""), "malformed", 400)
    refused(registered.post(registered.url("keyChange"), {"account": registered.kid}), "malformed", 400)


def test_A23_a_change_of_key_changes_the_proofs_that_are_wanted(registered: Client) -> None:
    """The key authorization is made with the key of the moment of validation."""
    order = registered.order(a_name())
    new = fresh()
    assert change(registered, new).status_code == 200
    registered.key = new
    registered.prove(order)
    assert registered.post(order.headers["Location"]).json["status"] == "ready"
