"""What is finished goes after a time; certificates, revocations and accounts never do (INC-10, INC-12)."""

from typing import Any

import pytest

import acme_server
from acme_server import retention, upkeep
from acme_server.desk import Desk
from ca.authority import Authority
from ca.errors import NotFound
from ca.records import serial_hex
from tests.acme_server.client import Client, a_name, refused
from tests.acme_server.conftest import Town
from tests.acme_server.test_limits import limited
from tests.acme_server.test_renewal_info import ident as ari

TABLES = ("acme_order", "acme_need", "acme_authorization", "acme_challenge")


def ident(url: str) -> str:
    return url.rpartition("/")[2]


@pytest.fixture
def desk(authority: Authority) -> Desk:
    return Desk(authority)


def counts(desk: Desk, account: str) -> dict[str, int]:
    """The rows of an account, by table."""
    found = {}
    for table in TABLES:
        where = "order_id IN (SELECT id FROM acme_order WHERE account = ?)" if table == "acme_need" else "account = ?"
        found[table] = desk.store.rows(f"SELECT COUNT(*) FROM {table} WHERE {where}", account)[0][0]
    return found


def after(desk: Desk, town: Town, seconds: int) -> Any:
    town.clock.ahead = seconds
    upkeep.expire(desk)
    return acme_server.purge(desk.authority)


def test_finished_orders_go_and_certificates_stay(registered: Client, desk: Desk, town: Town) -> None:
    account = ident(registered.kid)
    order = registered.ready()
    done = registered.finalize(order)
    leaf = registered.chain(done)[0]
    revoked = registered.obtain()
    assert registered.revoke(revoked, reason=4).status_code == 200
    with limited(desk.authority, registered) as hasty:
        hasty.prove(hasty.order(a_name()), honest=False)
    life, kept = desk.config.acme.order_life, desk.config.acme.retention
    after(desk, town, life + 10)
    assert counts(desk, account)["acme_order"] == 3  # nothing goes before its time
    events = desk.store.rows("SELECT COUNT(*) FROM event")[0][0]
    assert after(desk, town, life + kept + 10).done >= 3
    assert set(counts(desk, account).values()) == {0}
    assert desk.store.rows("SELECT COUNT(*) FROM event")[0][0] >= events
    assert registered.post(registered.kid).status_code == 200
    refused(registered.post(order.headers["Location"]), "malformed", 404)
    assert registered.post(done.json["certificate"]).status_code == 200
    assert desk.store.revocation("issuing-g1", revoked.serial_number).reason == "superseded"
    assert desk.authority.certificate(leaf.serial_number).order == ident(order.headers["Location"])
    assert desk.store.intent(
        desk.store.rows("SELECT id FROM intent WHERE serial = ?", serial_hex(leaf.serial_number))[0][0]
    )
    assert after(desk, town, life + kept + 20).done == 0


def test_what_is_open_stays_whatever_its_age(registered: Client, desk: Desk, town: Town) -> None:
    """An order under way is the sweep's to end, and its authorizations stay with it."""
    order = registered.ready()
    row = desk.orders.get(ident(order.headers["Location"]))
    assert desk.orders.claim(row, "an-intent", row.expires, desk.now())
    after(desk, town, desk.config.acme.order_life + desk.config.acme.retention + 10)
    assert desk.orders.get(row.id).status == "processing"
    assert desk.proofs.get(row.authorizations[0])
    desk.orders.invalidate(desk.orders.get(row.id), "{}")
    after(desk, town, desk.config.acme.order_life + desk.config.acme.retention + 20)
    with pytest.raises(NotFound):
        desk.orders.get(row.id)
    with pytest.raises(NotFound):
        desk.proofs.get(row.authorizations[0])


def test_A35_what_was_replaced_stays_replaced(registered: Client, desk: Desk, town: Town) -> None:
    name = a_name()
    leaf = registered.obtain(name)
    order = registered.order(name, replaces=ari(leaf))
    assert registered.finalize(order).json["status"] == "valid"
    failing = registered.obtain(name)
    lost = registered.order(name, replaces=ari(failing))
    registered.post(lost.json["authorizations"][0], {"status": "deactivated"})
    after(desk, town, desk.config.acme.order_life + desk.config.acme.retention + 10)
    refused(registered.order(name, replaces=ari(leaf)), "alreadyReplaced", 409)
    assert registered.order(name, replaces=ari(failing)).status_code == 201
    after(desk, town, 90 * 86400 + desk.config.acme.retention + 10)
    serial = serial_hex(leaf.serial_number)
    assert not desk.store.rows("SELECT 1 FROM acme_replacement WHERE serial = ?", serial)


def test_it_goes_in_batches(registered: Client, desk: Desk, town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    for _ in range(5):
        registered.order(a_name())
    late = desk.config.acme.order_life + desk.config.acme.retention + 10
    assert after(desk, town, late).done >= 10
    assert counts(desk, ident(registered.kid))["acme_order"] == 0
