"""The verdict of the crash harness finds what it is there to find: each wrong thing is made by hand here."""

from collections.abc import Callable

import pytest

from ca.errors import NotFound
from ca.store import Store
from tests.ca.store.things import certificate, intent
from tests.crash.clients import Told
from tests.crash.verdict import judge_records


@pytest.fixture
def told(sqlite_store: Store) -> Told:
    """One certificate, as it was handed out."""
    of = intent()
    made = certificate(of)
    sqlite_store.begin(of)
    sqlite_store.finish(of.id, made)
    return Told(certificates={made.serial: made.der})


def lost(store: Store, told: Told) -> None:
    store.change("DELETE FROM certificate_parent")
    store.change("DELETE FROM certificate_name")
    store.change("DELETE FROM certificate")
    store.change("UPDATE intent SET state = 'abandoned'")


def changed(store: Store, told: Told) -> None:
    store.change("UPDATE certificate SET der = ?", b"another")


def doubled(store: Store, told: Told) -> None:
    of = intent()
    store.begin(of)
    store.finish(of.id, certificate(of))  # for the same key


def half(store: Store, told: Told) -> None:
    of = intent()
    store.begin(of)
    store.change("UPDATE intent SET state = 'issued' WHERE id = ?", of.id)


def unrevoked(store: Store, told: Told) -> None:
    told.revoked |= told.certificates.keys()


def test_what_was_told_and_stands_is_right(sqlite_store: Store, told: Told) -> None:
    judge_records(sqlite_store, told)


@pytest.mark.parametrize("wrong", [lost, changed, doubled, half, unrevoked])
def test_what_is_wrong_is_found(sqlite_store: Store, told: Told, wrong: Callable[[Store, Told], None]) -> None:
    wrong(sqlite_store, told)
    with pytest.raises((AssertionError, NotFound)):
        judge_records(sqlite_store, told)
