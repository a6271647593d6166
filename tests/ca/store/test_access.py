"""API tokens, idempotency keys, job runs and settings."""

import threading

import pytest

from ca.errors import Conflict, IdempotencyInFlight, IdempotencyMismatch, NotFound, Unavailable
from ca.records import ApiToken
from ca.store import IdempotencyKey, JobRun, Replay, Store
from ca.store.tokens import USED_EVERY
from tests.ca.store.things import NOW, certificate, crashing, intent

TOKEN = ApiToken("t1", "ci", ("server", "mtls"), ("**.example.test",), "operator:root", NOW, NOW + 60, "ops", True)
KEY = IdempotencyKey("token:t1", "POST", "/api/v1/certificates", "k-1")


def test_tokens_are_found_by_the_digest_of_their_secret(store: Store) -> None:
    store.add_token(TOKEN, "ab" * 32)
    assert store.token_by_digest("ab" * 32) == TOKEN == store.token("t1")
    assert store.tokens() == (TOKEN,)
    with pytest.raises(NotFound):
        store.token_by_digest("cd" * 32)
    with pytest.raises(Conflict):
        store.add_token(TOKEN, "cd" * 32)


def test_ending_a_token_twice_keeps_the_first_time(store: Store) -> None:
    store.add_token(TOKEN, "ab" * 32)
    store.revoke_token("t1", NOW + 5)
    store.revoke_token("t1", NOW + 9)
    assert store.token("t1").revoked_at == NOW + 5
    with pytest.raises(NotFound):
        store.revoke_token("t2", NOW)


def test_the_use_of_a_token_is_noted_now_and_then(store: Store) -> None:
    store.add_token(TOKEN, "ab" * 32)
    for at in (NOW, NOW + 1, NOW + USED_EVERY - 1):
        store.token_used("t1", at)
    assert store.token("t1").last_used == NOW
    store.token_used("t1", NOW + USED_EVERY)
    assert store.token("t1").last_used == NOW + USED_EVERY


# --- idempotency --------------------------------------------------------------------------------


def test_the_first_outcome_is_replayed(store: Store) -> None:
    assert store.replay(KEY, "body") is None
    assert store.idempotency_begin(KEY, "body", NOW) is None
    store.idempotency_finish(KEY, 201, b"made")
    store.idempotency_finish(KEY, 500, b"later")
    assert store.replay(KEY, "body") == Replay(201, b"made") == store.idempotency_begin(KEY, "body", NOW)


def test_another_body_is_a_mismatch_and_a_running_one_in_flight(store: Store) -> None:
    store.idempotency_begin(KEY, "body", NOW)
    with pytest.raises(IdempotencyMismatch):
        store.replay(KEY, "other body")
    with pytest.raises(IdempotencyInFlight):
        store.replay(KEY, "body")
    store.idempotency_finish(KEY, 201, b"")
    with pytest.raises(IdempotencyMismatch):
        store.idempotency_begin(KEY, "other body", NOW)


@pytest.mark.parametrize(
    "other",
    [
        IdempotencyKey("token:t2", KEY.method, KEY.path, KEY.key),
        IdempotencyKey(KEY.principal, "PUT", KEY.path, KEY.key),
        IdempotencyKey(KEY.principal, KEY.method, "/api/v1/other", KEY.key),
        IdempotencyKey(KEY.principal, KEY.method, KEY.path, "k-2"),
    ],
)
def test_keys_belong_to_principal_method_and_path(store: Store, other: IdempotencyKey) -> None:
    store.idempotency_begin(KEY, "body", NOW)
    assert store.idempotency_begin(other, "other body", NOW) is None


def test_a_request_that_broke_off_asks_for_a_new_key(store: Store) -> None:
    one = intent()
    with store.transaction():
        assert store.idempotency_begin(KEY, "body", NOW, intent=one.id) is None
        store.begin(one)
    with pytest.raises(IdempotencyInFlight):
        store.replay(KEY, "body")
    store.abandon(one.id)
    with pytest.raises(Unavailable, match="new key"):
        store.replay(KEY, "body")


def test_a_request_that_surely_signed_nothing_may_be_asked_again_with_its_key(store: Store) -> None:
    """A withdrawn intent was not signed; one claims the key anew, and another body is still refused."""
    first, second = intent(), intent()
    with store.transaction():
        store.idempotency_begin(KEY, "body", NOW, intent=first.id)
        store.begin(first)
    store.withdraw(first.id)
    assert store.replay(KEY, "body") is None
    with pytest.raises(IdempotencyMismatch):
        store.idempotency_begin(KEY, "another body", NOW, intent=second.id)
    with store.transaction():
        assert store.idempotency_begin(KEY, "body", NOW, intent=second.id) is None
        store.begin(second)
    with pytest.raises(IdempotencyInFlight):
        store.idempotency_begin(KEY, "body", NOW, intent="another")


def test_the_key_is_claimed_with_the_intent_or_not_at_all(store: Store) -> None:
    one = intent()
    with crashing(store):
        store.idempotency_begin(KEY, "body", NOW, intent=one.id)
        store.begin(one)
    assert store.replay(KEY, "body") is None


def test_of_many_at_once_one_claims_the_key(store: Store) -> None:
    outcomes: list[str] = []
    meet = threading.Barrier(4)

    def ask() -> None:
        one = intent()
        meet.wait(10)
        try:
            with store.transaction():
                fresh = store.idempotency_begin(KEY, "body", NOW, intent=one.id) is None
                if fresh:
                    store.begin(one)
            outcomes.append("fresh" if fresh else "replay")
            if fresh:
                with store.transaction():
                    store.finish(one.id, certificate(one))
                    store.idempotency_finish(KEY, 201, b"made")
        except IdempotencyInFlight:
            outcomes.append("in flight")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert outcomes.count("fresh") == 1
    assert len(outcomes) == 4
    assert store.rows("SELECT count(*) FROM certificate") == [(1,)]


def test_keys_are_forgotten_after_their_time(store: Store) -> None:
    store.idempotency_begin(KEY, "body", NOW)
    assert store.expire_idempotency(NOW) == 0
    assert store.expire_idempotency(NOW + 1) == 1
    assert store.idempotency_begin(KEY, "other body", NOW) is None


# --- jobs and settings --------------------------------------------------------------------------


def test_the_last_run_and_the_last_success_are_known(store: Store) -> None:
    with pytest.raises(NotFound):
        store.last_run("publish_crls")
    store.job_ran("publish_crls", NOW, NOW + 1, True, "2 shards")
    store.job_ran("publish_crls", NOW + 60, NOW + 61, False, "no signer")
    assert store.last_run("publish_crls") == JobRun("publish_crls", NOW + 60, NOW + 61, False, "no signer", NOW + 1)
    assert len(store.runs()) == 1


def test_settings_are_kept(store: Store) -> None:
    with pytest.raises(NotFound):
        store.setting("name")
    store.set_setting("name", "a")
    store.set_setting("name", "b")
    assert store.setting("name") == "b"
