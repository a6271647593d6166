"""Shapes and tables agree, and every record comes back as it went in."""

import pytest

from ca.errors import Conflict, NotFound
from ca.records import Issuer, Key, KeyPurpose, Responder
from ca.store import Shape, Store, tables
from tests.ca.store.things import NOW, certificate, intent

SHAPES = [shape for shape in vars(tables).values() if isinstance(shape, Shape)]
KEY = Key("issuing-g1", KeyPurpose.ISSUING, "ec-p256", b"\x30", "active", True, {"EXTRACTABLE": False, "n": [1]}, NOW)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.table)
def test_every_field_has_its_column(store: Store, shape: Shape[object]) -> None:
    columns = {column.name for column in store.database.get_columns(shape.table)}
    assert set(shape.columns) <= columns
    store.select(shape, "LIMIT 1")


def test_records_are_written_and_read_without_change() -> None:
    one = intent(0, "a.test", "*.b.test")
    for shape, record in ((tables.INTENT, one), (tables.CERTIFICATE, certificate(one)), (tables.KEY, KEY)):
        row = shape.encode(record)  # type: ignore[attr-defined]
        assert {type(value) for value in row} <= {int, str, bytes}
        assert shape.decode(row) == record  # type: ignore[attr-defined]


def test_the_hierarchy_is_kept_by_generation(store: Store) -> None:
    root = Issuer("root-g1", "root", "root", "root-g1", b"der", created_at=NOW)
    issuing = Issuer("issuing-g1", "issuing", "issuing", "issuing-g1", b"der", "root-g1", 1, created_at=NOW + 1)
    store.add_issuer(issuing)
    store.add_issuer(root)
    assert store.issuers() == (root, issuing)
    assert store.issuer("issuing-g1") == issuing
    store.set_issuer_state("issuing-g1", "retired")
    assert store.issuer("issuing-g1").state == "retired"
    with pytest.raises(Conflict):
        store.add_issuer(issuing)
    for missing in (lambda: store.issuer("x"), lambda: store.set_issuer_state("x", "active"), lambda: store.key("x")):
        with pytest.raises(NotFound):
            missing()


def test_keys_and_responders(store: Store) -> None:
    store.add_key(KEY)
    store.set_key_state("issuing-g1", "retired")
    assert store.keys() == (store.key("issuing-g1"),)
    assert store.key("issuing-g1").state == "retired"
    assert store.key("issuing-g1").attributes == KEY.attributes
    with pytest.raises(Conflict):
        store.add_key(KEY)
    with pytest.raises(NotFound):
        store.set_key_state("x", "active")
    with pytest.raises(NotFound):
        store.responder("issuing-g1")
    old = Responder("issuing-g1", "issuing-g1-ocsp-1", b"1", NOW, NOW + 9)
    new = Responder("issuing-g1", "issuing-g1-ocsp-2", b"2", NOW + 5, NOW + 14)
    store.add_responder(new)
    store.add_responder(old)
    assert store.responder("issuing-g1") == new
