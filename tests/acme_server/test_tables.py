"""The rows, on SQLite and on PostgreSQL: states go one way, and of two that race one wins."""

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from acme_server import records
from acme_server.errors import AccountDoesNotExist
from acme_server.records import (
    Account,
    AccountStatus,
    Authorization,
    AuthorizationStatus,
    Challenge,
    ChallengeStatus,
    Order,
    OrderStatus,
)
from acme_server.tables import Accounts, Orders, Proofs
from acme_server.validation.causes import Cause
from acme_server.validation.records import Attempt
from acme_server.validation.tables import Attempts
from acme_server.validation.wire import Deed, Step
from ca.errors import Conflict, NotFound
from ca.records import Name, NameKind
from ca.store import Store

NOW = 1_800_000_000
NAME = Name(NameKind.DNS, "www.corp.test")
ACCOUNT = Account("a1", "thumb", "{}", AccountStatus.VALID, ("mailto:a@b.test",), "", NOW)


@pytest.fixture
def accounts(store: Store) -> Accounts:
    made = Accounts(store)
    made.add(ACCOUNT)
    return made


@pytest.fixture
def orders(accounts: Accounts) -> Orders:
    return Orders(accounts.store)


@pytest.fixture
def proofs(accounts: Accounts) -> Proofs:
    return Proofs(accounts.store)


def an_authorization(proofs: Proofs, number: int, status: AuthorizationStatus = AuthorizationStatus.PENDING) -> str:
    row = Authorization(f"z{number}", "a1", NameKind.DNS, NAME.value, status, NOW + 100, NOW)
    proofs.add(row, [Challenge(f"c{number}", "a1", row.id, "http-01", "t", ChallengeStatus.PENDING)])
    return row.id


def an_order(orders: Orders, number: int, *needs: str, status: OrderStatus = OrderStatus.PENDING) -> Order:
    row = Order(f"o{number}", "a1", status, "server", (NAME,), needs, 0, 0, NOW + 1000, NOW)
    orders.add(row)
    return row


def test_rows_come_back_as_they_were(accounts: Accounts, orders: Orders, proofs: Proofs) -> None:
    needs = [an_authorization(proofs, 1), an_authorization(proofs, 2)]
    order = an_order(orders, 1, *needs)
    assert accounts.get("a1") == accounts.by_key("thumb") == ACCOUNT
    assert accounts.recent(5) == (ACCOUNT,)
    assert orders.get("o1") == order
    assert proofs.get("z1").name == NAME
    assert [one.id for one in proofs.challenges("z1")] == ["c1"]
    full = replace(order, id="o2", error="{}", intent="i", public_key=b"\0\xff", certificate="01", due_at=5)
    orders.add(full)
    assert orders.get("o2") == full


def test_what_is_not_there_is_not_found(accounts: Accounts, orders: Orders, proofs: Proofs) -> None:
    for get in (orders.get, proofs.get, proofs.challenge):
        with pytest.raises(NotFound):
            get("nothing")  # type: ignore[operator]
    for look in (accounts.get, accounts.by_key):
        with pytest.raises(AccountDoesNotExist):
            look("nothing")


# --- accounts -----------------------------------------------------------------------------------


def test_a_key_has_one_account(accounts: Accounts) -> None:
    assert not accounts.add(replace(ACCOUNT, id="a2"))
    assert accounts.add(replace(ACCOUNT, id="a2", thumbprint="other"))
    with pytest.raises(Conflict), accounts.store.transaction():
        accounts.change_key(ACCOUNT, "other", "{}")
    assert accounts.by_key("other").id == "a2"


def test_A23_only_the_key_that_is_held_is_changed(accounts: Accounts) -> None:
    assert accounts.change_key(ACCOUNT, "new", '{"n":1}')
    assert not accounts.change_key(ACCOUNT, "newer", "{}")
    assert accounts.by_key("new").jwk == '{"n":1}'


def test_A24_a_deactivated_account_never_changes_again(accounts: Accounts) -> None:
    assert accounts.close("a1", AccountStatus.DEACTIVATED)
    assert not accounts.close("a1", AccountStatus.DEACTIVATED)
    assert not accounts.set_contact("a1", "[]")
    assert not accounts.agree("a1", "x")
    assert not accounts.change_key(ACCOUNT, "new", "{}")
    assert accounts.get("a1").status is AccountStatus.DEACTIVATED


# --- orders: A-18, all states against all moves -------------------------------------------------

VALID = AuthorizationStatus.VALID


def _ready(orders: Orders, order: Order) -> bool:
    orders.make_ready("z1", NOW + 100)
    return orders.get(order.id).status is OrderStatus.READY


MOVES: dict[str, Callable[[Orders, Order], bool]] = {
    "ready": _ready,
    "claim": lambda orders, order: orders.claim(order, "i", NOW + 60, NOW),
    "bind": lambda orders, order: orders.bind(order.id, order.intent, "01ab"),
    "valid": lambda orders, order: orders.make_valid(order.id),
    "wait": lambda orders, order: orders.wait(order.id, order.intent, NOW),
    "invalid": lambda orders, order: orders.invalidate(order, "{}"),
}
STATES: dict[str, dict[str, Any]] = {
    "pending": {"status": OrderStatus.PENDING},
    "ready": {"status": OrderStatus.READY},
    "under way": {"status": OrderStatus.PROCESSING, "intent": "i"},
    "waiting": {"status": OrderStatus.PROCESSING},
    "bound": {"status": OrderStatus.PROCESSING, "intent": "i", "certificate": "01ab"},
    "valid": {"status": OrderStatus.VALID, "intent": "i", "certificate": "01ab"},
    "invalid": {"status": OrderStatus.INVALID},
}
ALLOWED = {
    ("pending", "ready"), ("pending", "invalid"), ("ready", "ready"), ("ready", "claim"), ("ready", "invalid"),
    ("under way", "bind"), ("under way", "wait"), ("under way", "invalid"), ("waiting", "claim"),
    ("waiting", "invalid"), ("waiting", "wait"), ("waiting", "bind"), ("bound", "bind"), ("bound", "valid"),
    ("invalid", "invalid"),
}  # fmt: skip


@pytest.mark.parametrize("move", MOVES)
def test_A18_an_order_moves_only_as_drawn(orders: Orders, proofs: Proofs, move: str) -> None:
    an_authorization(proofs, 1, VALID)
    for state, columns in STATES.items():
        order = replace(an_order(orders, 0, "z1"), id=state, **columns)
        orders.store.change("DELETE FROM acme_order")
        orders.store.change("DELETE FROM acme_need")
        orders.add(order)
        assert MOVES[move](orders, order) is ((state, move) in ALLOWED), state
        if (state, move) not in ALLOWED:
            assert orders.get(state) == order


def test_A26_a_claim_needs_every_authorization_and_the_account(
    accounts: Accounts, orders: Orders, proofs: Proofs
) -> None:
    needs = [an_authorization(proofs, n, VALID) for n in (1, 2)]
    order = an_order(orders, 1, *needs, status=OrderStatus.READY)

    def claimed(now: int = NOW) -> bool:
        won = orders.claim(order, "i", NOW, now)
        orders.store.change("UPDATE acme_order SET status = 'ready', intent = '' WHERE id = 'o1'")
        return won

    assert claimed()
    assert not claimed(NOW + 100)  # the authorizations have expired
    assert not claimed(NOW + 1000)  # and the order
    proofs.deactivate("z2")
    assert not claimed()
    orders.store.change("UPDATE acme_authorization SET status = 'valid'")
    assert claimed()
    accounts.close("a1", AccountStatus.DEACTIVATED)
    assert not claimed()


def test_an_order_is_ready_with_its_last_authorization(orders: Orders, proofs: Proofs) -> None:
    needs = [an_authorization(proofs, n) for n in (1, 2)]
    an_order(orders, 1, *needs)
    an_order(orders, 2, needs[0])
    proofs.make_valid("z1", NOW + 50)
    orders.make_ready("z1", NOW + 50)
    assert (orders.get("o1").status, orders.get("o2").status) == (OrderStatus.PENDING, OrderStatus.READY)
    assert orders.get("o2").expires == NOW + 50
    proofs.make_valid("z2", NOW + 5000)
    orders.make_ready("z2", NOW + 5000)
    assert orders.get("o1").status is OrderStatus.READY
    assert orders.get("o1").expires == NOW + 1000


def test_orders_are_paged(orders: Orders) -> None:
    for number in range(5):
        an_order(orders, number)
    first = orders.of("a1", None, 3)
    second = orders.of("a1", first[-1], 3)
    assert [one.id for one in (*first, *second)] == ["o4", "o3", "o2", "o1", "o0"]
    assert orders.of("a2", None, 3) == ()
    assert [one.id for one in orders.recent(2)] == [one.id for one in orders.recent(2, "a1")] == ["o4", "o3"]
    assert orders.recent(2, "a2") == ()


# --- authorizations and challenges --------------------------------------------------------------


def test_usable_is_valid_in_time_of_this_account_and_name(proofs: Proofs) -> None:
    an_authorization(proofs, 1, VALID)
    an_authorization(proofs, 2)
    assert proofs.usable("a1", NAME, NOW).id == "z1"
    assert proofs.holds("a1", NAME, NOW + 99)
    assert not proofs.holds("a1", NAME, NOW + 100)
    assert not proofs.holds("a2", NAME, NOW)
    assert not proofs.holds("a1", Name(NameKind.IP, NAME.value), NOW)
    assert not proofs.holds("a1", Name(NameKind.DNS, "other.test"), NOW)
    proofs.deactivate("z1")
    assert not proofs.holds("a1", NAME, NOW)


AUTHORIZATION_MOVES: dict[str, tuple[Callable[[Proofs], bool], set[str]]] = {
    "valid": (lambda proofs: proofs.make_valid("z1", NOW + 9), {"pending"}),
    "invalid": (lambda proofs: proofs.make_invalid("z1"), {"pending"}),
    "deactivated": (lambda proofs: proofs.deactivate("z1"), {"pending", "valid"}),
    "expire": (lambda proofs: proofs.expire(NOW + 100) == 1, {"pending", "valid"}),
    "not yet": (lambda proofs: proofs.expire(NOW + 99) == 1, set()),
    "account": (lambda proofs: proofs.close("a1") == 1, {"pending", "valid"}),
}


@pytest.mark.parametrize("move", AUTHORIZATION_MOVES)
def test_A18_an_authorization_moves_only_as_drawn(proofs: Proofs, move: str) -> None:
    make, allowed = AUTHORIZATION_MOVES[move]
    for state in AuthorizationStatus:
        proofs.store.change("DELETE FROM acme_challenge")
        proofs.store.change("DELETE FROM acme_authorization")
        an_authorization(proofs, 1, state)
        assert make(proofs) is (state.value in allowed), state


CHALLENGE_MOVES: dict[str, Callable[[Proofs, Challenge], bool]] = {
    "begin": lambda proofs, row: proofs.begin(row, NOW, NOW),
    "again": lambda proofs, row: proofs.again(row, NOW),
    "note": lambda proofs, row: proofs.note(row, "{}", NOW),
    "pass": lambda proofs, row: proofs.pass_challenge(row, NOW),
    "fail": lambda proofs, row: proofs.fail_challenge(row, "{}"),
}


@pytest.mark.parametrize("move", CHALLENGE_MOVES)
def test_A18_a_challenge_moves_only_as_drawn(proofs: Proofs, move: str) -> None:
    wanted = ChallengeStatus.PENDING if move == "begin" else ChallengeStatus.PROCESSING
    for state in ChallengeStatus:
        row = Challenge(state, "a1", state, "http-01", "t", state, attempts=1)
        authorization = Authorization(state, "a1", NameKind.DNS, "x", AuthorizationStatus.PENDING, NOW + 9, NOW)
        proofs.add(authorization, [row])
        assert CHALLENGE_MOVES[move](proofs, row) is (state is wanted), state


def test_a_try_that_was_given_up_writes_nothing(proofs: Proofs) -> None:
    an_authorization(proofs, 1)
    proofs.begin(proofs.challenge("c1"), NOW, NOW)
    first = proofs.challenge("c1")
    assert proofs.again(first, NOW)
    before = proofs.challenge("c1")
    for move in ("again", "note", "pass", "fail"):
        assert not CHALLENGE_MOVES[move](proofs, first)
    assert proofs.challenge("c1") == before


def test_a_challenge_begins_only_while_its_authorization_is_pending(proofs: Proofs) -> None:
    for number, status in enumerate(AuthorizationStatus):
        an_authorization(proofs, number, status)
        begun = proofs.begin(proofs.challenge(f"c{number}"), NOW, NOW)
        assert begun is (status is AuthorizationStatus.PENDING)


# --- races --------------------------------------------------------------------------------------


def together(*deeds: Callable[[], object]) -> list[object]:
    """Does them at once, each in a thread with a connection of its own."""
    barrier = threading.Barrier(len(deeds))
    results: list[object] = [None] * len(deeds)

    def run(place: int, deed: Callable[[], object]) -> None:
        barrier.wait(5)
        results[place] = deed()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(deeds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return results


def test_of_claims_at_once_one_wins(orders: Orders, proofs: Proofs) -> None:
    for number in range(5):
        order = an_order(orders, number, an_authorization(proofs, number, VALID), status=OrderStatus.READY)
        claims = [partial(orders.claim, order, f"i{n}", NOW, NOW) for n in range(6)]
        won = together(*claims)
        assert won.count(True) == 1
        assert orders.get(order.id).intent == f"i{won.index(True)}"


def test_authorizations_that_become_valid_at_once_ready_their_order(orders: Orders, proofs: Proofs) -> None:
    """On PostgreSQL neither transaction sees the other's row before it ends: hence the lock on the order."""

    def prove(authorization: str) -> None:
        with orders.store.transaction():
            orders.hold(authorization)
            proofs.make_valid(authorization, NOW + 100)
            orders.make_ready(authorization, NOW + 100)

    for number in range(0, 40, 4):
        needs = [an_authorization(proofs, number + n) for n in range(4)]
        order = an_order(orders, number, *needs)
        together(*(partial(prove, one) for one in needs))
        assert orders.get(order.id).status is OrderStatus.READY


def test_of_registrations_at_once_one_wins(accounts: Accounts) -> None:
    rows = [replace(ACCOUNT, id=f"x{n}", thumbprint="same") for n in range(6)]
    won = together(*(partial(accounts.add, row) for row in rows))
    assert won.count(True) == 1


# --- as of now ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", OrderStatus)
def test_A16_an_order_past_its_time(status: OrderStatus) -> None:
    order = Order("o", "a", status, "server", (), (), 0, 0, NOW, NOW)
    waiting = status in (OrderStatus.PENDING, OrderStatus.READY)
    assert order.at(NOW - 1).status is status
    assert order.at(NOW).status is (OrderStatus.INVALID if waiting else status)


@pytest.mark.parametrize("status", AuthorizationStatus)
def test_A17_an_authorization_past_its_time(status: AuthorizationStatus) -> None:
    row = Authorization("z", "a", NameKind.DNS, "x.test", status, NOW, NOW)
    after = {"valid": "expired", "pending": "invalid"}.get(status.value, status.value)
    assert row.at(NOW - 1).status is status
    assert row.at(NOW).status == after


def test_tries_come_back_as_they_were_and_are_forgotten(orders: Orders, proofs: Proofs) -> None:
    order, attempts = an_order(orders, 1, an_authorization(proofs, 1)), Attempts(orders.store)
    step = Step(3, Deed.CONNECT, "www.corp.test, port 80", "refused", "10.1.2.3")
    first = Attempt(
        "t1", "ab", "z1", "http-01", NAME.value, 1, NOW, 5, Cause.REFUSED, {"subject": "it"}, "in", (step,), NOW + 9
    )
    second = replace(first, id="t2", link="", number=2, cause=Cause.MET, expires=NOW + 20)
    for one in (second, first):
        attempts.add(one)
    assert attempts.of(order) == (first, second)
    assert attempts.by_link("ab") == first
    with pytest.raises(NotFound):
        attempts.by_link("")
    assert attempts.expire(NOW + 10) == 1
    assert attempts.of(order) == (second,)


def test_no_id_looks_like_an_option_of_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter(["-N8FBmKNVW0Ub1cG9tbo7Q", "--", "N8FBmKNVW0Ub1cG9tbo7Q-"])
    monkeypatch.setattr(records.secrets, "token_urlsafe", lambda _: next(drawn))
    assert records.new_id() == "N8FBmKNVW0Ub1cG9tbo7Q-"
