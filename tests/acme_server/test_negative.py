"""The negative suite: bad requests, each with the one answer that RFC 8555 has for it; and whatever bytes may come."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acme_server.routes import ROUTES
from ca.authority import Authority
from tests.acme_server import signing
from tests.acme_server.client import ERROR, ORIGIN, TYPE, Client, a_name, csr, refused
from tests.acme_server.conftest import Town, make_app
from tests.acme_server.negative import CASES, Case
from tests.acme_server.test_accounts import change, fresh
from tests.acme_server.test_door import path

pytestmark = pytest.mark.slow

POSTED = sorted({path(route.path) for route in ROUTES})


@pytest.fixture(scope="module")
def guest(town: Town) -> Iterator[Client]:
    """One registered client for all cases: none of them changes anything."""
    town.clock.ahead = 0
    authority: Authority = town.open()
    client = Client(make_app(authority).test_client(), town.shown)
    assert client.register().status_code == 201
    yield client
    authority.store.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_bad_request_has_its_answer(guest: Client, case: Case) -> None:
    url = case.url(guest)
    answer = guest.send(url, case.body(guest, url), content_type=case.content_type)
    refused(answer, case.kind, case.status)


def test_there_are_enough_of_them_and_none_twice() -> None:
    assert len(CASES) >= 150
    assert not [name for name, count in Counter(case.name for case in CASES).items() if count > 1]
    assert {case.duty for case in CASES} >= {f"A-{n:02}" for n in (1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 19, 20, 22, 25)}


def test_A25_names_are_taken_once_in_any_case(guest: Client) -> None:
    name = a_name()
    order = guest.order(name.upper(), name, name)
    assert order.json["identifiers"] == [{"type": "dns", "value": name}]


def test_A23_an_inner_jws_of_other_forms(guest: Client) -> None:
    """keyChange, check by check (RFC 8555 §7.3.5): none of them changes the key."""
    lies: tuple[tuple[dict[str, Any], str, int], ...] = (
        ({"url": ORIGIN}, "malformed", 400),
        ({"account": guest.kid + "/"}, "unauthorized", 403),
        ({"account": 5}, "malformed", 400),
        ({"oldKey": None}, "malformed", 400),
        ({"oldKey": signing.jwk(fresh())}, "malformed", 400),
        ({"by": fresh()}, "malformed", 400),
        ({"head": {"kid": guest.kid}}, "malformed", 400),
        ({"head": {"alg": "none"}}, "badSignatureAlgorithm", 400),
        ({"head": {"alg": "HS256"}}, "badSignatureAlgorithm", 400),
        ({"jwk": {"kty": "oct", "k": "AA"}}, "badPublicKey", 400),
        ({"payload": b""}, "malformed", 400),
        ({"payload": {"account": guest.kid}}, "malformed", 400),
    )
    for lie, kind, status in lies:
        refused(change(guest, fresh(), **lie), kind, status)
    assert guest.post(guest.kid).status_code == 200


BAD_CSR = {
    "no member": {},
    "null": {"csr": None},
    "a number": {"csr": 7},
    "padded": {"csr": "YWI="},
    "other characters": {"csr": "a+b/"},
}


def test_A26_finalize_of_other_forms(guest: Client) -> None:
    name = a_name()
    order = guest.ready(name)
    for payload in BAD_CSR.values():
        refused(guest.post(order.json["finalize"], payload), "malformed", 400)
    whole = csr(name)
    for data in (b"", b"junk", whole[:-1], whole + b"\0", b"\x30\x80" + whole, b"-----BEGIN", csr(name, "b.localhost"),
                 csr(), csr("*." + name), csr(name, common_name="b.localhost")):  # fmt: skip
        refused(guest.finalize(order, data), "badCSR", 400)
    assert guest.finalize(order, whole).json["status"] == "valid"
    refused(guest.finalize(order, whole), "orderNotReady", 403)


# --- whatever bytes -----------------------------------------------------------------------------


def sane(answer: Any, began: float) -> None:
    """A problem document (or a plain success), never an accident of ours, in under a second of work."""
    assert time.thread_time() - began < 1
    assert answer.status_code < 500, answer.data
    if answer.status_code >= 400:
        assert answer.content_type == "application/problem+json"
        assert json.loads(answer.data)["type"].startswith(ERROR)


QUICK = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.slow
@pytest.mark.parametrize("where", POSTED)
@QUICK
@given(body=st.binary(max_size=300))
def test_A14_any_bytes_get_a_problem(guest: Client, where: str, body: bytes) -> None:
    began = time.thread_time()
    sane(guest.http.post(where, data=body, content_type=TYPE), began)


MEMBERS = st.sampled_from(
    ["identifiers", "type", "value", "profile", "replaces", "notBefore", "contact", "status", "csr", "certificate",
     "reason", "identifier", "protected", "payload", "signature", "account", "oldKey", "externalAccountBinding", "x"]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("dns")
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=5), max_leaves=12
)


@pytest.mark.slow
@pytest.mark.parametrize("where", POSTED)
@QUICK
@given(payload=st.dictionaries(MEMBERS, JSON, max_size=6) | JSON)
def test_A14_any_payload_that_is_truly_signed_gets_a_problem_or_its_due(
    guest: Client, where: str, payload: Any
) -> None:
    by_key = {"key": fresh()} if where.endswith("new-account") else {}
    began = time.thread_time()
    sane(guest.post(ORIGIN + where, json.dumps(payload).encode(), **by_key), began)


@QUICK
@given(header=st.dictionaries(st.sampled_from(["alg", "nonce", "url", "jwk", "kid", "crit", "b64"]), JSON), body=JSON)
def test_A14_any_header_gets_a_problem(guest: Client, header: dict[str, Any], body: Any) -> None:
    began = time.thread_time()
    signed = signing.sign(guest.key, json.dumps(header).encode(), json.dumps(body).encode())
    sane(guest.send(guest.url("newOrder"), signed), began)


@QUICK
@given(where=st.text(max_size=40), method=st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS"]))
def test_A14_any_path_gets_a_problem(guest: Client, where: str, method: str) -> None:
    from urllib.parse import quote

    began = time.thread_time()
    answer = guest.http.open("/acme/" + quote(where), method=method, data=b"x", content_type=TYPE)
    assert answer.status_code < 500
    assert time.thread_time() - began < 1
