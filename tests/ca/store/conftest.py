"""A store with an issuing CA, and a quick way to issue."""

from collections.abc import Callable

import pytest

from ca.records import Certificate, Issuer
from ca.store import Store
from tests.ca.store.things import NOW, certificate, intent

Issue = Callable[..., Certificate]


@pytest.fixture
def issue(store: Store) -> Issue:
    """Begins and finishes one issuance; fields are those of the intent."""

    def issued(*names: str, **fields: object) -> Certificate:
        one = intent(0, *names, **fields)
        made = certificate(one)
        with store.transaction():
            store.begin(one)
            store.finish(one.id, made)
        return made

    return issued


@pytest.fixture
def issuer(store: Store) -> Issuer:
    """An issuing CA with two CRL shards."""
    made = Issuer("issuing-g1", "issuing", "issuing", "issuing-g1", b"der", parent="root-g1", shards=2, created_at=NOW)
    store.add_issuer(made)
    return made
