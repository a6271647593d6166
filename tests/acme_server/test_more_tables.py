"""The rows of what stands beside RFC 8555, on both databases: replacement, credentials, pauses, what is forgotten."""

from dataclasses import replace

import pytest

from acme_server.eab.credential import Credential
from acme_server.eab.tables import Credentials
from acme_server.errors import Unauthorized
from acme_server.limits.tables import Pause, Pauses, Times
from acme_server.records import AuthorizationStatus, OrderStatus
from acme_server.tables import Accounts, Orders, Proofs, Renewals
from acme_server.windows import Window
from ca.errors import NotFound
from ca.records import NameKind
from tests.acme_server.test_tables import ACCOUNT, NAME, NOW, accounts, an_authorization, an_order, orders, proofs

__all__ = ["accounts", "orders", "proofs"]  # fixtures
INVALID = AuthorizationStatus.INVALID


@pytest.fixture
def renewals(accounts: Accounts) -> Renewals:
    return Renewals(accounts.store)


def test_A35_one_order_replaces_a_certificate_until_it_fails(renewals: Renewals, orders: Orders) -> None:
    first, second = an_order(orders, 1), an_order(orders, 2)
    assert renewals.replace("01", first, NOW + 900) == 1
    assert renewals.replace("01", second, NOW + 900) == 0
    orders.invalidate(first, "{}")
    assert renewals.replace("01", second, NOW + 900) == 2
    late = replace(an_order(orders, 3), created_at=second.expires)
    assert renewals.replace("01", late, NOW + 900) == 3  # the second one's time is over
    assert renewals.purge(NOW + 900, 10) == 0
    assert renewals.purge(NOW + 901, 10) == 1


def test_A35_a_certificate_is_called_again(renewals: Renewals) -> None:
    assert renewals.called("01") is None
    renewals.call([("01", Window(1, 2)), ("02", Window(3, 4))])
    renewals.call([("01", Window(5, 6))])
    assert renewals.called("01") == Window(5, 6)
    assert renewals.busiest_minute(0) == 0
    assert renewals.purge(5, 10) == 1
    assert renewals.called("02") is None


def test_A22_a_credential_is_bound_as_often_as_it_may(accounts: Accounts) -> None:
    credentials = Credentials(accounts.store)
    one = Credential("k", "n", ("a.test",), (), ("10.0.0.0/8",), 5, 1, False, True, "operator:x", NOW, NOW + 60)
    credentials.add(one, b"\0wrapped")
    assert credentials.get("k") == one
    assert credentials.wrapped_key("k") == b"\0wrapped"
    assert credentials.all(5) == (one,)
    for late in (NOW + 60, NOW + 61):
        with pytest.raises(Unauthorized):
            credentials.bind("k", late)
    credentials.bind("k", NOW)
    with pytest.raises(Unauthorized):
        credentials.bind("k", NOW)
    assert credentials.get("k").status(NOW) == "used"
    accounts.add(replace(ACCOUNT, id="a2", thumbprint="other", eab="k"))
    assert credentials.accounts("k") == ("a2",)
    assert credentials.revoke("k", NOW)
    assert not credentials.revoke("k", NOW)
    with pytest.raises(NotFound):
        credentials.get("x")


def test_A13_pauses(accounts: Accounts, proofs: Proofs) -> None:
    pauses = Pauses(accounts.store)
    for number in range(3):
        an_authorization(proofs, number, INVALID)
    failed = proofs.get("z0")
    assert pauses.failures(failed) == 3
    pause = Pause("a1", NameKind.DNS, NAME.value, "secret", 3, NOW)
    pauses.add(pause)
    pauses.add(replace(pause, token="newer"))
    assert accounts.get("a1").paused
    assert pauses.of("a1") == pauses.by_token("newer") == (replace(pause, token="newer"),)
    assert pauses.by_token("secret") == ()
    assert pauses.resume("a1", NOW) == 1
    assert not accounts.get("a1").paused
    assert pauses.failures(failed) == 0
    assert pauses.forget(NOW, 10) == 0
    assert pauses.forget(NOW + 1, 10) == 1


def test_times_at_rest_are_forgotten(accounts: Accounts) -> None:
    times = Times(accounts.store)
    assert times.advance({"a": 10, "b": 20}, 100) == [("a", 110), ("b", 120)]
    assert times.advance({"a": 10}, 105) == [("a", 120)]
    assert times.forget(119, 10) == 0
    assert times.forget(120, 1) == 1
    assert times.forget(120, 10) == 1


def test_finished_orders_go_with_what_only_they_needed(orders: Orders, proofs: Proofs) -> None:
    shared, own = an_authorization(proofs, 1, INVALID), an_authorization(proofs, 2, INVALID)
    an_order(orders, 1, shared, own, status=OrderStatus.INVALID)
    an_order(orders, 2, shared)
    late = NOW + 2000
    assert proofs.purge(late, 10) == 0  # orders need them
    assert orders.purge(NOW, 10) == 0
    assert orders.purge(late, 10) == 1
    assert orders.get("o2").status is OrderStatus.PENDING
    assert proofs.purge(late, 10) == 1
    assert proofs.get(shared)
    assert proofs.challenges(own) == ()
    with pytest.raises(NotFound):
        proofs.get(own)
