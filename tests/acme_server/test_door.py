"""What holds for every resource: methods, media type, JWS, nonce, URL, account; and what every answer carries."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from acme_server.environ import REFUSED
from acme_server.jwk import ALGORITHMS
from acme_server.routes import ROUTES, Knock
from ca.authority import Authority
from ca.errors import ConfigError
from ca.store import Store
from tests.acme_server import signing
from tests.acme_server.client import ORIGIN, TYPE, Client, csr, refused
from tests.acme_server.conftest import make_app
from tests.acme_server.signing import b64
from tests.acme_server.test_accounts import setting

FILL = {"<account_id>": "x", "<after>": "x", "<order_id>": "x", "<authorization_id>": "x", "<challenge_id>": "x",
        "<serial>": "01ab", "<number>": "1", "<certificate_id>": "x.x", "<token>": "x",
        "<profile>": "server"}  # fmt: skip

NOT_THERE = {"<certificate_id>": 400, "<secret>": 404}
"""What GET of a resource answers whose name is made up here."""


def path(template: str) -> str:
    for variable, value in FILL.items():
        template = template.replace(variable, value)
    return "/acme" + template


PATHS = {route.path: route for route in ROUTES}
SIGNED = [one.path for one in ROUTES if one.knock not in (Knock.OPENLY, Knock.BY_PERSON)]
BY_ACCOUNT = [path for path in SIGNED if PATHS[path].knock is not Knock.BY_KEY]


# --- the directory ------------------------------------------------------------------------------


def test_A15_directory_lists_what_there_is(client: Client) -> None:
    answer = client.http.get("/acme/directory")
    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    assert answer.json == {
        "newNonce": f"{ORIGIN}/acme/new-nonce",
        "newAccount": f"{ORIGIN}/acme/new-account",
        "newOrder": f"{ORIGIN}/acme/new-order",
        "newAuthz": f"{ORIGIN}/acme/new-authz",
        "revokeCert": f"{ORIGIN}/acme/revoke-cert",
        "keyChange": f"{ORIGIN}/acme/key-change",
        "renewalInfo": f"{ORIGIN}/acme/renewal-info",
        "meta": {"externalAccountRequired": False, "profiles": answer.json["meta"]["profiles"]},
    }
    assert "Link" not in answer.headers


def test_A01_directory_may_be_read_by_browsers(client: Client) -> None:
    assert client.http.get("/acme/directory").headers["Access-Control-Allow-Origin"] == "*"


def test_every_url_of_the_directory_has_a_handler(registered: Client) -> None:
    """LESSONS: keyChange answers 501 in one peer, has no handler in another, points to localhost in a third."""
    for name, url in registered.url("newNonce") and registered.directory.items():
        if name == "newNonce":
            assert registered.http.get(url.removeprefix(ORIGIN)).status_code == 204
        elif name == "renewalInfo":
            answer = registered.http.get(url.removeprefix(ORIGIN) + "/junk")
            assert (answer.status_code, answer.json["type"][-10:]) == (400, ":malformed")
        elif name != "meta":
            answer = registered.post(url, {})
            assert answer.json["type"].endswith((":malformed", ":unauthorized")), (name, answer.json)
            assert answer.status_code in (400, 403), (name, answer.json)


def test_each_profile_has_a_directory_of_its_own(client: Client) -> None:
    short = client.http.get("/acme/short-lived/directory").json
    assert short["newOrder"] == f"{ORIGIN}/acme/short-lived/new-order"
    assert short["newAccount"] == f"{ORIGIN}/acme/new-account"
    assert client.http.get("/acme/server/directory").status_code == 200


@pytest.mark.parametrize("profile", ["client", "own", "nothing", "..", "%2e%2e"])
def test_a_profile_that_is_not_offered_has_none(client: Client, profile: str) -> None:
    assert client.http.get(f"/acme/{profile}/directory").status_code == 404


@pytest.mark.parametrize("resource", ["directory", "newNonce"])
def test_A09_directory_and_new_nonce_are_there_by_post_as_get_too(registered: Client, resource: str) -> None:
    url = f"{ORIGIN}/acme/directory" if resource == "directory" else registered.url("newNonce")
    answer = registered.post(url)
    assert answer.status_code in (200, 204)
    assert answer.headers["Replay-Nonce"]


@pytest.mark.parametrize("profiles", [[], ["own"], ["server", "nothing"]])
def test_profiles_that_cannot_be_offered_stop_the_start(
    client: Client, authority: Authority, profiles: list[str]
) -> None:
    with pytest.raises(ConfigError, match=r"acme\.profiles"), setting(authority, client, profiles=profiles):
        pass


# --- nonces -------------------------------------------------------------------------------------


def test_A11_new_nonce(client: Client) -> None:
    head, get = client.http.head("/acme/new-nonce"), client.http.get("/acme/new-nonce")
    assert (head.status_code, get.status_code) == (200, 204)
    assert head.data == get.data == b""
    for answer in (head, get):
        assert answer.headers["Replay-Nonce"]
        assert answer.headers["Cache-Control"] == "no-store"
        assert f'<{ORIGIN}/acme/directory>;rel="index"' in answer.headers.getlist("Link")
    assert head.headers["Replay-Nonce"] != get.headers["Replay-Nonce"]


def test_A11_every_answer_to_a_post_carries_a_nonce_that_is_good(registered: Client) -> None:
    first = registered.post(registered.kid)
    second = registered.send(registered.kid, registered.sign(registered.kid, b"", nonce=first.headers["Replay-Nonce"]))
    assert second.status_code == 200


def test_A11_a_replayed_nonce_is_refused(registered: Client) -> None:
    body = registered.sign(registered.kid, b"")
    assert registered.send(registered.kid, body).status_code == 200
    refused(registered.send(registered.kid, body), "badNonce", 400)


def test_A11_the_nonce_of_a_refusal_is_good_to_go_on(registered: Client) -> None:
    stale = registered.post(registered.kid, nonce=b64(b"invented"))
    refused(stale, "badNonce", 400)
    fresh = stale.headers["Replay-Nonce"]
    assert registered.send(registered.kid, registered.sign(registered.kid, b"", nonce=fresh)).status_code == 200


def test_A12_nonces_of_other_characters_are_malformed(registered: Client) -> None:
    refused(registered.post(registered.kid, nonce="ab+/"), "malformed", 400)


# --- methods, types, paths ----------------------------------------------------------------------


@pytest.mark.parametrize("template", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_A02_methods(client: Client, template: str, method: str) -> None:
    answer = client.http.open(path(template), method=method)
    if PATHS[template].knock in (Knock.BY_PERSON, Knock.OPENLY_OR_BY_ACCOUNT) and method in ("GET", "HEAD"):
        assert answer.status_code == 404  # nobody made that link, or that order
        return
    if PATHS[template].knock is Knock.OPENLY and method in ("GET", "HEAD"):
        made_up = [status for part, status in NOT_THERE.items() if part in template]
        assert answer.status_code in (made_up or (200, 204))
        return
    assert answer.status_code == 405
    assert answer.headers["Allow"] == PATHS[template].knock.methods
    if method != "HEAD":
        assert answer.json["type"].endswith(":malformed")


@pytest.mark.parametrize("template", SIGNED)
@pytest.mark.parametrize("kind", ["application/json", "application/jose", "text/plain", "", "multipart/form-data"])
def test_A06_other_media_types_are_refused(registered: Client, template: str, kind: str) -> None:
    url = ORIGIN + path(template)
    refused(registered.send(url, registered.sign(url, {}), content_type=kind), "malformed", 415)


def test_A06_parameters_of_the_media_type_do_no_harm(registered: Client) -> None:
    body = registered.sign(registered.kid, b"")
    assert registered.send(registered.kid, body, content_type=TYPE + "; charset=utf-8").status_code == 200


@pytest.mark.parametrize(
    "where", ["/acme", "/acme/", "/acme/nothing", "/acme/order", "/acme/order/x/y", "/acme/a/b/c/d"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_unknown_paths_are_problems_of_ours(client: Client, where: str, method: str) -> None:
    answer = client.http.open(where, method=method, follow_redirects=True)
    assert answer.status_code == 404
    assert answer.json["type"].endswith(":malformed")
    assert "/acme/directory" in answer.json["detail"]


# --- the JWS, for every resource ----------------------------------------------------------------


@pytest.mark.parametrize("template", BY_ACCOUNT)
def test_A08_an_unknown_account_is_none_everywhere(client: Client, template: str) -> None:
    url = ORIGIN + path(template)
    for kid in (f"{ORIGIN}/acme/acct/nobody", f"{ORIGIN}/acme/acct/", "nobody", "", "https://other.test/acme/acct/x"):
        client.kid = kid or "x"
        refused(client.post(url, {}, kid=kid), "accountDoesNotExist", 400)


@pytest.mark.parametrize("template", SIGNED)
def test_A07_jwk_is_for_new_account_and_revocation_alone(registered: Client, template: str) -> None:
    url = ORIGIN + path(template)
    answer = registered.post(url, {}, **({} if PATHS[template].knock is Knock.BY_KEY else {"key": registered.key}))
    if PATHS[template].knock is Knock.BY_EITHER:
        assert answer.status_code == 400  # it is read, and lacks a certificate
        return
    refused(answer, "malformed", 400)
    assert "jwk" in answer.json["detail"]


@pytest.mark.parametrize("template", SIGNED)
def test_A10_url_must_match_everywhere(registered: Client, template: str) -> None:
    url = ORIGIN + path(template)
    by_key = {"key": registered.key} if PATHS[template].knock is Knock.BY_KEY else {}
    for lie in (url + "/", url.upper(), f"{ORIGIN}/acme/other", "http" + url[5:], path(template)):
        answer = registered.send(url, registered.sign(url, {}, **by_key, url=lie))
        refused(answer, "unauthorized", 403)


@pytest.mark.parametrize("template", BY_ACCOUNT)
def test_a_foreign_signature_opens_nothing(registered: Client, template: str) -> None:
    """The kid of one account, the key of another."""
    url = ORIGIN + path(template)
    thief = signing.ec.generate_private_key(signing.ec.SECP256R1())
    head = {"alg": "ES256", "nonce": registered.nonce(), "url": url, "kid": registered.kid}
    refused(registered.send(url, signing.sign(thief, head, {})), "malformed", 400)


def test_A10_a_query_is_part_of_the_url(registered: Client) -> None:
    body = registered.sign(registered.kid, b"")
    answer = registered.http.post(registered.kid.removeprefix(ORIGIN) + "?x=1", data=body, content_type=TYPE)
    refused(answer, "unauthorized", 403)


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS512", "ES256K"])
def test_A04_the_refusal_of_an_algorithm_lists_what_is_taken(registered: Client, algorithm: str) -> None:
    answer = registered.post(registered.kid, alg=algorithm)
    refused(answer, "badSignatureAlgorithm", 400)
    assert answer.json["algorithms"] == list(ALGORITHMS)


@pytest.mark.parametrize(
    "lie", [{"jwk": {}}, {"jwk": None}, {"crit": ["x"]}, {"b64": False}, {"nonce": ...}, {"kid": ...}]
)
def test_A03_other_headers_are_malformed(registered: Client, lie: dict[str, Any]) -> None:
    refused(registered.post(registered.kid, b"", **lie), "malformed", 400)


def test_A05_a_bad_key_is_named(client: Client) -> None:
    weak = {"kty": "RSA", "n": b64(b"\xff" * 128), "e": "AQAB"}
    refused(client.post(client.url("newAccount"), {}, key=client.key, jwk=weak), "badPublicKey", 400)


@pytest.mark.parametrize("size", [64 * 1024 + 1, 10 * 1024 * 1024])
def test_A32_large_bodies_are_refused(registered: Client, size: int) -> None:
    refused(registered.send(registered.kid, b"x" * size), "malformed", 413)


def test_A32_large_bodies_without_a_length_are_refused(app: Flask) -> None:
    import io

    answer = app.test_client().post(
        "/acme/new-account",
        input_stream=io.BytesIO(b"x" * (10 * 1024 * 1024)),
        content_type=TYPE,
        environ_overrides={"wsgi.input_terminated": True},
        headers={"Transfer-Encoding": "chunked"},
    )
    assert answer.status_code == 413


@pytest.mark.parametrize(("status", "shown"), [(400, 408), (408, 408), (411, 408), (413, 413)])
def test_A14_what_the_gate_refuses_is_a_problem_of_acme_too(client: Client, status: int, shown: int) -> None:
    answer = client.http.post("/acme/new-order", content_type=TYPE, environ_overrides={REFUSED: status})
    refused(answer, "malformed", shown)


@pytest.mark.parametrize(
    "where", ["/acme/", "/acme/order", "/acme/order/", "/acme//new-order", "/acme/a/b/c/d/e/f", "/acme/acct//orders"]
)
def test_A14_a_path_without_resource_is_a_problem_that_leads_back(client: Client, where: str) -> None:
    answer = client.http.get(where)
    assert (answer.status_code, answer.json["type"]) == (404, "urn:ietf:params:acme:error:malformed")
    assert f'<{ORIGIN}/acme/directory>;rel="index"' in answer.headers.getlist("Link")


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b'"x"', b"{", b'{"a":1,"a":2}', b"\xff"])
def test_payloads_that_are_no_object_are_malformed(registered: Client, payload: bytes) -> None:
    for name in ("newOrder", "revokeCert"):
        refused(registered.post(registered.url(name), payload), "malformed", 400)


@pytest.mark.parametrize("template", ["/order/<order_id>", "/cert/<serial>", "/acct/<account_id>/orders"])
def test_A09_fetches_have_an_empty_payload(registered: Client, template: str) -> None:
    order = registered.order("one.localhost")
    urls = {"/order/<order_id>": order.headers["Location"], "/acct/<account_id>/orders": registered.kid + "/orders"}
    url = urls.get(template, ORIGIN + "/acme/cert/01ab")
    refused(registered.post(url, {}), "malformed", 400)


# --- nobody reads what is another's -------------------------------------------------------------


def test_A32_foreign_objects_are_closed(registered: Client, app: Flask) -> None:
    order = registered.ready()
    done = registered.finalize(order)
    authorization = order.json["authorizations"][0]
    challenge = registered.post(authorization).json["challenges"][0]["url"]
    other = Client(app.test_client(), registered.shown)
    other.register()
    for url in (order.headers["Location"], authorization, challenge, done.json["certificate"], registered.kid,
                registered.kid + "/orders"):  # fmt: skip
        refused(other.post(url), "unauthorized", 403)
    refused(other.post(order.json["finalize"], {"csr": b64(csr("x.localhost"))}), "unauthorized", 403)
    refused(other.post(authorization, {"status": "deactivated"}), "unauthorized", 403)
    refused(other.post(challenge, {}), "unauthorized", 403)
    refused(other.post(registered.kid, {"status": "deactivated"}), "unauthorized", 403)
    refused(other.post(f"{other.kid}/orders/{order.headers['Location'].rpartition('/')[2]}"), "unauthorized", 403)


@pytest.mark.parametrize("kind", ["order", "authz", "chall", "cert"])
def test_unknown_objects_are_404(registered: Client, kind: str) -> None:
    for thing in ("nothing", "0", "00", "01AB", "zz", "-1", "1" * 200):
        refused(registered.post(f"{ORIGIN}/acme/{kind}/{thing}"), "malformed", 404)


def test_A14_problems_tell_the_next_step_and_no_inside(registered: Client) -> None:
    answer = registered.post(registered.url("newOrder"), {"identifiers": [{"type": "dns", "value": "x.example"}]})
    assert "ca.permitted_names" in answer.json["detail"]
    assert "Traceback" not in json.dumps(answer.json)


def test_with_the_database_gone_refusals_are_problems_of_acme_and_nonces_go_on(
    authority: Authority, sqlite_url: str
) -> None:
    """Not 500: clients come again after a 503 with Retry-After."""
    store = Store.open(sqlite_url)
    client = Client(make_app(replace(authority, store=store)).test_client(), {})
    Path(sqlite_url.removeprefix("sqlite:///")).unlink()
    answer = client.register()
    refused(answer, "serverInternal", 503)
    assert int(answer.headers["Retry-After"]) > 0
    store.close()
