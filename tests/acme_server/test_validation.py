"""Challenges: met, failed, tried again; and what is left when a worker or the fetcher dies (RFC 8555 §7.5.1, §8)."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from acme_server import validation
from acme_server.desk import Desk
from acme_server.records import Challenge
from acme_server.validation import work
from acme_server.validation.causes import Cause
from acme_server.validation.proof import Verdict
from ca import journal
from ca.authority import Authority
from tests.acme_server import signing
from tests.acme_server.client import ERROR, Client, a_name
from tests.acme_server.conftest import Town
from tests.acme_server.test_orders import ident


@pytest.fixture
def desk(authority: Authority) -> Desk:
    return Desk(authority)


@pytest.fixture
def fetcherless(town: Town) -> Iterator[Town]:
    """A town whose fetcher is dead for the length of a test."""
    town.kill_fetcher()
    yield town
    if town.fetcher is None:
        town.start_fetcher()


def a_challenge(client: Client, *names: str) -> tuple[Any, dict[str, Any]]:
    """An order and the first challenge of its first authorization."""
    order = client.order(*(names or (a_name(),)))
    return order, client.authorizations(order)[0].json["challenges"][0]


def show(client: Client, challenge: dict[str, Any]) -> None:
    from acme_server import jwk

    client.shown[challenge["token"]] = f"{challenge['token']}.{jwk.parse(signing.jwk(client.key)).thumbprint}"


def begin(desk: Desk, challenge: dict[str, Any]) -> Challenge:
    """The challenge as it is when a worker has taken it, and died."""
    row = desk.proofs.challenge(ident(challenge["url"]))
    assert desk.proofs.begin(row, desk.now(), desk.now())
    return desk.proofs.challenge(row.id)


# --- met ----------------------------------------------------------------------------------------


def test_A28_a_challenge_is_met(registered: Client, authority: Authority) -> None:
    order, challenge = a_challenge(registered)
    show(registered, challenge)
    answer = registered.post(challenge["url"], {})
    assert answer.status_code == 200
    assert answer.json["status"] == "processing"
    assert answer.headers["Retry-After"] == "1"
    up = order.json["authorizations"][0]
    assert f'<{up}>;rel="up"' in answer.headers.getlist("Link")
    registered.wait(order)
    (authorization,) = registered.authorizations(order)
    assert authorization.json["status"] == "valid"
    (met,) = authorization.json["challenges"]
    assert met["status"] == "valid"
    assert met["validated"]
    assert "error" not in met
    (event,) = journal.history(authority.store, f"authorization:{ident(up)}")
    assert event["action"] == "authorization.valid"
    assert registered.post(order.headers["Location"]).json["status"] == "ready"


def test_A28_answering_again_changes_nothing(registered: Client, town: Town) -> None:
    order, challenge = a_challenge(registered)
    show(registered, challenge)
    for _ in range(3):
        assert registered.post(challenge["url"], {}).status_code == 200
    registered.wait(order)
    assert registered.post(challenge["url"], {}).json["status"] == "valid"
    assert town.asked.count(challenge["token"]) == 1


def test_a_challenge_is_shown_by_post_as_get_and_not_begun(registered: Client) -> None:
    _, challenge = a_challenge(registered)
    assert registered.post(challenge["url"]).json == challenge
    assert registered.post(challenge["url"]).json["status"] == "pending"


def test_an_order_is_ready_when_the_last_authorization_is_valid(registered: Client, desk: Desk) -> None:
    order = registered.order(*(a_name() for _ in range(3)))
    challenges = [one.json["challenges"][0] for one in registered.authorizations(order)]
    for number, challenge in enumerate(challenges):
        assert registered.post(order.headers["Location"]).json["status"] == "pending"
        show(registered, challenge)
        work.attempt(desk, begin(desk, challenge), lambda *_: None)
        assert desk.proofs.get(ident(order.json["authorizations"][number])).status == "valid"
    assert registered.post(order.headers["Location"]).json["status"] == "ready"


def test_INC07_one_met_challenge_proves_one_name(registered: Client, desk: Desk) -> None:
    order = registered.order(a_name(), a_name())
    challenge = registered.authorizations(order)[1].json["challenges"][0]
    show(registered, challenge)
    work.attempt(desk, begin(desk, challenge), lambda *_: None)
    assert [one.json["status"] for one in registered.authorizations(order)] == ["pending", "valid"]
    assert registered.post(order.headers["Location"]).json["status"] == "pending"


# --- failed -------------------------------------------------------------------------------------


@pytest.fixture
def impatient(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries only once."""
    monkeypatch.setitem(authority.config.acme.validation.__dict__, "attempts", 1)


def test_A31_a_challenge_that_is_not_met(registered: Client, authority: Authority, impatient: None) -> None:
    name = a_name()
    order, challenge = a_challenge(registered, name, a_name())
    registered.post(challenge["url"], {})
    end = time.monotonic() + 10
    while registered.authorizations(order)[0].json["status"] == "pending" and time.monotonic() < end:
        time.sleep(0.02)
    first, second = registered.authorizations(order)
    assert first.json["status"] == "invalid"
    (failed,) = first.json["challenges"]
    assert failed["status"] == "invalid"
    assert failed["error"]["type"] == ERROR + "incorrectResponse"
    assert "answered 404" in failed["error"]["detail"]
    assert failed["error"]["identifier"] == {"type": "dns", "value": name}
    after = registered.post(order.headers["Location"]).json
    assert (after["status"], after["error"]) == ("invalid", failed["error"])
    assert second.json["status"] == "pending"
    events = journal.history(authority.store, f"authorization:{ident(order.json['authorizations'][0])}")
    assert [(one["action"], one["reason"]) for one in events] == [("challenge.failed", "incorrectResponse")]
    assert name not in str(events)
    assert (
        journal.history(authority.store, f"order:{ident(order.headers['Location'])}")[-1]["action"] == "order.invalid"
    )


def test_A28_a_failed_try_is_shown_while_it_is_tried_again(registered: Client, desk: Desk) -> None:
    order, challenge = a_challenge(registered)
    tried: list[float] = []
    work.attempt(desk, begin(desk, challenge), lambda _, seconds: tried.append(seconds))
    (authorization,) = registered.authorizations(order)
    assert authorization.json["status"] == "pending"
    assert authorization.headers["Retry-After"] == "1"
    shown = authorization.json["challenges"][0]
    assert (shown["status"], shown["error"]["type"]) == ("processing", ERROR + "incorrectResponse")
    assert tried == [1.0]


def test_A28_a_later_try_may_be_met(registered: Client, town: Town) -> None:
    order, challenge = a_challenge(registered)
    registered.post(challenge["url"], {})
    end = time.monotonic() + 5
    while challenge["token"] not in town.asked and time.monotonic() < end:
        time.sleep(0.01)
    show(registered, challenge)
    registered.wait(order)
    (authorization,) = registered.authorizations(order)
    assert authorization.json["status"] == "valid"
    assert "error" not in authorization.json["challenges"][0]
    assert town.asked.count(challenge["token"]) == 2


def test_A32_tries_are_bounded(registered: Client, town: Town, authority: Authority) -> None:
    order, challenge = a_challenge(registered)
    registered.post(challenge["url"], {})
    registered.wait(order)
    assert town.asked.count(challenge["token"]) == authority.config.acme.validation.attempts
    assert registered.post(order.headers["Location"]).json["status"] == "invalid"
    assert registered.post(challenge["url"], {}).json["status"] == "invalid"  # no way back


def test_A31_the_key_authorization_of_another_account_proves_nothing(registered: Client, desk: Desk) -> None:
    _, challenge = a_challenge(registered)
    registered.shown[challenge["token"]] = challenge["token"] + "." + "A" * 43
    work.attempt(desk, replace(begin(desk, challenge), failures=99), lambda *_: None)
    assert "another account" in registered.post(challenge["url"]).json["error"]["detail"]


# --- what dies, and what races ------------------------------------------------------------------


def test_a_challenge_whose_worker_died_is_swept(registered: Client, desk: Desk, town: Town) -> None:
    order, challenge = a_challenge(registered)
    show(registered, challenge)
    begin(desk, challenge)
    report = validation.sweep(desk.authority)
    assert (report.name, report.done >= 1) == ("sweep_challenges", True)
    assert registered.authorizations(order)[0].json["status"] == "valid"
    assert town.asked.count(challenge["token"]) == 1


def test_what_is_under_way_is_not_swept(registered: Client, desk: Desk, town: Town) -> None:
    _, challenge = a_challenge(registered)
    row = desk.proofs.challenge(ident(challenge["url"]))
    desk.proofs.begin(row, desk.now() + 5, desk.now())
    validation.sweep(desk.authority)
    assert challenge["token"] not in town.asked


def test_two_sweeps_at_once_try_once(registered: Client, desk: Desk, town: Town) -> None:
    _, challenge = a_challenge(registered)
    show(registered, challenge)
    begin(desk, challenge)
    sweeps = [threading.Thread(target=validation.sweep, args=(desk.authority,)) for _ in range(4)]
    for one in sweeps:
        one.start()
    for one in sweeps:
        one.join()
    assert town.asked.count(challenge["token"]) == 1


def test_the_result_of_a_try_that_was_given_up_changes_nothing(registered: Client, desk: Desk) -> None:
    order, challenge = a_challenge(registered)
    slow = replace(begin(desk, challenge), failures=99)
    assert desk.proofs.again(slow, desk.now())  # the sweep took it
    verdict = Verdict(Cause.BROKEN_OFF)
    work._settle(desk, slow, desk.proofs.get(slow.authorization_id), verdict, lambda *_: None)  # and it ends at last
    assert registered.post(challenge["url"]).json["status"] == "processing"
    show(registered, challenge)
    validation.sweep(desk.authority)
    assert registered.authorizations(order)[0].json["status"] == "valid"


def test_a_try_that_was_given_up_is_not_begun(registered: Client, desk: Desk, town: Town) -> None:
    """It waited so long for a thread that the sweep took it."""
    _, challenge = a_challenge(registered)
    row = begin(desk, challenge)
    assert desk.proofs.again(row, desk.now())
    work.attempt(desk, row, lambda *_: None)
    assert challenge["token"] not in town.asked


def test_a_fetcher_that_is_away_is_no_failure_of_the_client(registered: Client, desk: Desk, fetcherless: Town) -> None:
    order, challenge = a_challenge(registered)
    show(registered, challenge)
    tried: list[float] = []
    begin(desk, challenge)
    for _ in range(8):
        row = desk.proofs.challenge(ident(challenge["url"]))
        work.attempt(desk, row, lambda _, seconds: tried.append(seconds))
        assert desk.proofs.again(row, desk.now())
    assert tried == [2.0, 4.0, 8.0, 16.0]  # then the sweep alone
    shown = registered.post(challenge["url"]).json
    assert shown["status"] == "processing"
    assert "error" not in shown
    fetcherless.start_fetcher()
    validation.sweep(desk.authority)
    assert registered.authorizations(order)[0].json["status"] == "valid"


def test_a_worker_waits_for_a_fetcher_that_comes_back(registered: Client, fetcherless: Town) -> None:
    order, challenge = a_challenge(registered)
    show(registered, challenge)
    registered.post(challenge["url"], {})
    time.sleep(0.3)
    fetcherless.start_fetcher()
    registered.wait(order)
    assert registered.authorizations(order)[0].json["status"] == "valid"


def test_a_full_crew_leaves_challenges_to_the_sweep(registered: Client, desk: Desk, town: Town) -> None:
    order, challenge = a_challenge(registered)
    show(registered, challenge)
    full = Desk(desk.authority)
    full.crew._places = 0
    begun = work.start(full, desk.proofs.challenge(ident(challenge["url"])))
    assert begun.status == "processing"
    town.clock.ahead = desk.config.acme.validation.timeout + work.GRACE
    validation.sweep(desk.authority)
    assert registered.authorizations(order)[0].json["status"] == "valid"


def test_A29_a_result_comes_too_late_for_a_deactivated_authorization(registered: Client, desk: Desk) -> None:
    order, challenge = a_challenge(registered)
    show(registered, challenge)
    row = begin(desk, challenge)
    registered.post(order.json["authorizations"][0], {"status": "deactivated"})
    work.attempt(desk, row, lambda *_: None)
    (authorization,) = registered.authorizations(order)
    assert authorization.json["status"] == "deactivated"
    assert authorization.json["challenges"][0]["status"] == "invalid"
    assert registered.post(order.headers["Location"]).json["status"] == "invalid"


def test_A24_an_account_that_was_ended_proves_nothing(registered: Client, desk: Desk) -> None:
    order, challenge = a_challenge(registered)
    show(registered, challenge)
    row = begin(desk, challenge)
    registered.post(registered.kid, {"status": "deactivated"})
    work.attempt(desk, row, lambda *_: None)
    assert desk.proofs.get(ident(order.json["authorizations"][0])).status == "deactivated"


def test_an_unknown_kind_of_challenge_is_never_met(registered: Client, desk: Desk, town: Town) -> None:
    """Deny by default: a row that a newer version wrote."""
    _, challenge = a_challenge(registered)
    show(registered, challenge)
    row = begin(desk, challenge)
    work.attempt(desk, replace(row, type="dns-99"), lambda *_: None)
    assert desk.proofs.challenge(row.id).status == "invalid"
    assert challenge["token"] not in town.asked


def test_A32_an_answer_that_nobody_foresaw_ends_its_own_challenge(
    registered: Client, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug in the judging must not make the sweep try for ever, nor stop it for others."""
    order, challenge = a_challenge(registered)
    _, other = a_challenge(registered)
    show(registered, other)
    begin(desk, challenge)
    begin(desk, other)
    honest = work.judge

    def judge(kind: Any, answer: Any, proof: Any) -> Verdict:
        return honest(kind, answer, proof) if proof.token == other["token"] else 1 // 0

    monkeypatch.setattr(work, "judge", judge)
    for _ in range(desk.config.acme.validation.attempts):
        validation.sweep(desk.authority)
        desk.proofs.store.change("UPDATE acme_challenge SET due_at = 0 WHERE status = 'processing'")
    assert registered.post(other["url"]).json["status"] == "valid"
    failed = registered.authorizations(order)[0].json["challenges"][0]
    assert (failed["status"], failed["error"]["type"]) == ("invalid", ERROR + "incorrectResponse")
