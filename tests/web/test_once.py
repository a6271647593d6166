"""Idempotency-Key: one certificate however often a request is sent, through races, crashes and lost HSMs."""

import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from ca.authority import Authority
from ca.records import Query
from tests.ca.authority.world import World
from tests.web.desk import CERTIFICATES, Asker, a_name, csr, der, make_token, pem, problem


@pytest.fixture
def key() -> str:
    return secrets.token_hex(16)


def issued(authority: Authority, name: str) -> int:
    return len(authority.find(Query(name=name)).items)


def test_a_replay_gets_the_first_outcome_and_no_second_certificate(
    asker: Asker, authority: Authority, key: str
) -> None:
    name = a_name()
    body = {"csr": pem(csr(name))}
    first = asker.post(CERTIFICATES, body, Idempotency_Key=key)
    second = asker.post(CERTIFICATES, body, Idempotency_Key=key)
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.data == first.data
    assert second.headers["Location"] == first.headers["Location"]
    assert second.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert issued(authority, name) == 1


def test_another_body_is_422(asker: Asker, key: str) -> None:
    request = csr(a_name())
    assert asker.post(CERTIFICATES, {"csr": pem(request)}, Idempotency_Key=key).status_code == 201
    for answer in (
        asker.post(CERTIFICATES, {"csr": pem(csr(a_name()))}, Idempotency_Key=key),
        asker.post(CERTIFICATES, {"csr": pem(request), "owner": "x"}, Idempotency_Key=key),
        asker.post_raw(CERTIFICATES, der(request), "application/pkcs10", Idempotency_Key=key),
        asker.post_raw(f"{CERTIFICATES}?owner=x", der(request), "application/pkcs10", Idempotency_Key=key),
    ):
        problem(answer, 422, "idempotency-mismatch")


def test_a_key_belongs_to_its_token(app: Flask, asker: Asker, authority: Authority, key: str) -> None:
    other = Asker(app.test_client(), make_token(authority))
    body = {"csr": pem(csr(a_name()))}
    mine = asker.post(CERTIFICATES, body, Idempotency_Key=key).get_json()
    theirs = other.post(CERTIFICATES, body, Idempotency_Key=key).get_json()
    assert mine["serial"] != theirs["serial"]


@pytest.mark.parametrize("bad", ["", " ", "a b", "ä", "x" * 256, "a\tb"])
def test_a_key_that_is_none_is_400(asker: Asker, bad: str) -> None:
    answer = asker.post(CERTIFICATES, {"csr": pem(csr(a_name()))}, Idempotency_Key=bad)
    problem(answer, 400, "bad-request")


def test_a_refusal_does_not_use_the_key_up(asker: Asker, key: str) -> None:
    problem(asker.post(CERTIFICATES, {"csr": pem(csr("a.other.test"))}, Idempotency_Key=key), 403)
    assert asker.post(CERTIFICATES, {"csr": pem(csr(a_name()))}, Idempotency_Key=key).status_code == 201


@pytest.mark.slow
def test_of_many_at_once_one_issues(app: Flask, asker: Asker, authority: Authority, key: str) -> None:
    name = a_name()
    body = {"csr": pem(csr(name))}

    def ask(_: int) -> TestResponse:
        return Asker(app.test_client(), asker.secret).post(CERTIFICATES, body, Idempotency_Key=key)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(16)))
    done = [answer for answer in answers if answer.status_code == 201]
    assert done
    assert {answer.data for answer in done} == {done[0].data}
    for answer in answers:
        if answer.status_code != 201:
            problem(answer, 409, "idempotency-in-flight")
    assert issued(authority, name) == 1


class Killed(BaseException):
    """The end of a process, where no handler helps."""


def break_off(asker: Asker, authority: Authority, body: object, key: str) -> None:
    """Leaves what a kill between signature and transaction B leaves: an open intent with its claimed key."""

    def die(*_: object) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(authority.store, "idempotency_finish", die)
        with pytest.raises(Killed):
            asker.post(CERTIFICATES, body, Idempotency_Key=key)


def test_after_a_crash_it_is_409_until_the_sweep_and_then_a_new_key_is_needed(
    asker: Asker, authority: Authority, key: str
) -> None:
    name = a_name()
    body = {"csr": pem(csr(name))}
    break_off(asker, authority, body, key)
    problem(asker.post(CERTIFICATES, body, Idempotency_Key=key), 409, "idempotency-in-flight")
    authority.clock.ahead += authority.config.ca.intent_timeout + 1  # type: ignore[attr-defined]
    assert authority.sweep_intents().done == 1
    found = problem(asker.post(CERTIFICATES, body, Idempotency_Key=key), 503, "unavailable")
    assert "new key" in found["next_step"]
    assert issued(authority, name) == 0
    assert asker.post(CERTIFICATES, body, Idempotency_Key=key + "2").status_code == 201


def test_when_the_hsm_was_away_the_same_key_may_ask_again(asker: Asker, world: World, key: str) -> None:
    """Nothing was signed, and clients retry a 503 with the key that they sent."""
    body = {"csr": pem(csr(a_name()))}
    world.kill_signer()
    try:
        problem(asker.post(CERTIFICATES, body, Idempotency_Key=key), 503, "hsm-unavailable")
    finally:
        world.start_signer()
    issued = asker.post(CERTIFICATES, body, Idempotency_Key=key)
    assert issued.status_code == 201
    assert asker.post(CERTIFICATES, body, Idempotency_Key=key).json == issued.json
