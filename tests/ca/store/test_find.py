"""Search and paging: by name, owner, serial, expiry and status; pages neither overlap nor skip."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ca.errors import BadRequest
from ca.records import SYSTEM, Certificate, Query, Reason, Revocation, serial_hex
from ca.store import Store
from ca.store.certificates import _statement
from tests.ca.store.conftest import Issue
from tests.ca.store.things import DAY, NOW, key


def pages(store: Store, query: Query, now: int = NOW) -> Iterator[tuple[Certificate, ...]]:
    while True:
        page = store.find(query, now)
        yield page.items
        if not page.next:
            return
        query = replace(query, after=page.next)


def found(store: Store, now: int = NOW, **fields: object) -> set[int]:
    return {one.serial for page in pages(store, Query(**fields), now) for one in page}  # type: ignore[arg-type]


def test_certificates_are_found_by_what_people_know(store: Store, issue: Issue) -> None:
    pay = issue("pay.example.test", "www.pay.example.test", owner="payments", profile="mtls", account="a1")
    wild = issue("*.pay.example.test", owner="payments", token="t1", common_name="*.pay.example.test")
    other = issue("other.internal", order="o9")
    assert found(store) == {pay.serial, wild.serial, other.serial}
    assert found(store, name="PAY.example.test") == {pay.serial}
    assert found(store, name="*.pay.example.test") == {pay.serial, wild.serial}
    assert found(store, name="*.example.test") == {pay.serial, wild.serial}
    assert found(store, name="*.test") == {pay.serial, wild.serial}
    assert found(store, name="ay.example.test") == set()
    assert found(store, text="www.p") == {pay.serial}
    assert found(store, text="*.pay") == {wild.serial}
    assert found(store, text=serial_hex(other.serial)[:30].upper()) == {other.serial}
    assert found(store, text="%") == set()
    assert found(store, owner="payments", profile="mtls") == {pay.serial}
    assert found(store, account="a1") == {pay.serial}
    assert found(store, token="t1") == {wild.serial}
    assert found(store, issuer="issuing-g2") == set()
    assert store.by_order("o9") == other


def test_a_certificate_is_listed_once_however_many_names_match(store: Store, issue: Issue) -> None:
    made = issue("a.example.test", "b.example.test", "a.a.example.test")
    assert store.find(Query(name="*.example.test"), NOW).items == (made,)
    assert store.find(Query(text="a"), NOW).items == (made,)


def test_status_is_as_of_now(store: Store, issue: Issue) -> None:
    valid, soon, gone, revoked = issue(), issue(not_after=NOW + DAY), issue(not_after=NOW - 1), issue()
    store.revoke(Revocation("issuing-g1", revoked.serial, NOW, Reason.SUPERSEDED, SYSTEM, revoked.not_after))
    assert found(store, status="valid") == {valid.serial, soon.serial}
    assert found(store, status="expired") == {gone.serial}
    assert found(store, status="revoked") == {revoked.serial}
    assert found(store, status="expiring", expiring_within=2 * DAY) == {soon.serial}
    assert found(store, status="expired", now=NOW + 2 * DAY) == {soon.serial, gone.serial}
    for status in ("valid", "expired", "revoked"):
        for one in store.find(Query(status=status), NOW).items:
            assert one.status(NOW) == status
    assert [one.serial for one in store.expiring(NOW + 2 * DAY, NOW)] == [soon.serial]


def test_certificates_are_found_by_their_key(store: Store, issue: Issue) -> None:
    import hashlib

    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    made = issue()
    spki = key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert store.by_public_key(hashlib.sha256(spki).hexdigest()) == (made,)
    assert store.by_public_key("00" * 32) == ()


@pytest.mark.parametrize(
    "query",
    [
        Query(limit=0),
        Query(limit=1001),
        Query(order_by="serial; DROP TABLE certificate"),
        Query(status="good"),
        Query(after="!!"),
        Query(after="bm8"),
        Query(after="WyJpc3N1ZWQiLCJ4IiwxXQ"),
        Query(after="WyJleHBpcnkiLDEsMV0"),
    ],
    ids=lambda query: f"{query.limit}-{query.order_by}-{query.status}-{query.after}",
)
def test_what_is_no_query_is_refused(store: Store, query: Query) -> None:
    with pytest.raises(BadRequest):
        store.find(query, NOW)


# --- paging -------------------------------------------------------------------------------------

_SORT = {
    "issued": lambda one: -one.issued_at,
    "expiry": lambda one: one.not_after,
    "name": lambda one: one.names[0].value,
}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    times=st.lists(st.integers(0, 3), min_size=1, max_size=9),
    limit=st.integers(1, 4),
    order=st.sampled_from(["issued", "expiry", "name"]),
)
def test_pages_are_the_whole_list_in_order(
    store: Store, issue: Issue, times: list[int], limit: int, order: str
) -> None:
    store.change("DELETE FROM certificate_name")
    store.change("DELETE FROM certificate")
    made = [issue(f"h{time}.example.test", created_at=NOW + time, not_after=NOW + time) for time in times]
    got = list(pages(store, Query(order_by=order, limit=limit)))
    flat = [one for page in got for one in page]
    assert {one.serial for one in flat} == {one.serial for one in made}
    assert len(flat) == len(made)
    assert [_SORT[order](one) for one in flat] == sorted(_SORT[order](one) for one in made)
    assert all(len(page) == limit for page in got[:-1])


def test_what_is_issued_meanwhile_neither_shifts_nor_repeats_a_page(store: Store, issue: Issue) -> None:
    made = [issue(created_at=NOW + n) for n in range(6)]
    seen = []
    for page in pages(store, Query(limit=2)):
        seen += [one.serial for one in page]
        issue(created_at=NOW + 100)
    assert seen == [one.serial for one in reversed(made)]


# --- 50,000 certificates ------------------------------------------------------------------------

MANY = 50_000
_FILL = f"""
INSERT INTO certificate (issuer, serial, der, sha256, profile, names, not_before, not_after, issued_at, common_name,
  owner, "order", account, token, replaces, revoked_at, reason, spki_sha256, sort_name)
WITH RECURSIVE n(i) AS (SELECT 100000 UNION ALL SELECT i + 1 FROM n WHERE i < {100_000 + MANY - 1})
SELECT 'issuing-g1', '01' || i, '', 'd' || i, 'server', '[]', 0, {NOW} + (i * 7919) % 7776000, {NOW} + i, '',
  'team' || (i % 100), 'o' || i, 'a' || (i % 1000), 't' || (i % 50), '', CASE WHEN i % 500 = 0 THEN 1 ELSE 0 END, '',
  'k' || i, 'h' || i || '.t' || (i % 100) || '.test' FROM n
"""
_FILL_NAMES = """
INSERT INTO certificate_name (certificate, kind, value, reversed)
SELECT id, 'dns', sort_name, 'tset.' || owner || '.' || serial FROM certificate
"""


@pytest.fixture
def many(store: Store) -> Store:
    """A store of 50,000 certificates, with the statistics that PostgreSQL gathers by itself."""
    with store.transaction():
        store.change(_FILL.replace("%", "%%") if store._dialect.placeholder == "%s" else _FILL)
        store.change(_FILL_NAMES)
    if store._dialect.placeholder == "%s":
        store.change("ANALYZE")
    return store


def plan(store: Store, query: Query) -> str:
    sql, *values = _statement(query, NOW)
    verb = "EXPLAIN" if store._dialect.placeholder == "%s" else "EXPLAIN QUERY PLAN"
    return "\n".join(str(row[-1]) for row in store.rows(f"{verb} {sql}", *values))


def whole_tables(text: str) -> list[str]:
    """The steps of a plan that read a whole table without an index."""
    return [
        line
        for line in text.splitlines()
        if "Seq Scan" in line or (line.startswith("SCAN") and "USING" not in line and "SUBQUERY" not in line)
    ]


@pytest.mark.slow
def test_no_search_reads_a_whole_table(many: Store) -> None:
    expected = {
        Query(): MANY,
        Query(order_by="expiry"): MANY,
        Query(order_by="name"): MANY,
        Query(owner="team7"): MANY // 100,
        Query(account="a77"): MANY // 1000,
        Query(token="t7"): MANY // 50,
        Query(status="revoked"): MANY // 500,
        Query(status="expiring", expiring_within=3600, order_by="expiry"): 23,
        Query(name="h123456.t56.test"): 1,
        Query(name="*.7maet.test"): MANY // 100,
        Query(text="h12345"): 10,
        Query(text="0112345"): 10,
        Query(owner="team7", status="valid", name="h123407.t7.test"): 1,
    }
    for query, count in expected.items():
        page = many.find(replace(query, limit=min(count, 1000)), NOW)
        assert len(page.items) == min(count, 1000), query
        assert bool(page.next) == (count > 1000), query
        following = many.find(replace(query, limit=1), NOW).next
        for one in (query, replace(query, after=following)):
            assert not whole_tables(plan(many, one)), (one, plan(many, one))
    for query, index in {
        Query(owner="team7"): "certificate_owner",
        Query(account="a77"): "certificate_account",
        Query(token="t7"): "certificate_token",
        Query(profile="client"): "certificate_profile_issued_at_id",
        Query(status="revoked"): "certificate_revoked",
        Query(order_by="name"): "certificate_sort_name_id",
    }.items():
        assert index in plan(many, query), plan(many, query)


@pytest.mark.slow
def test_a_deep_page_costs_no_more_than_the_first(many: Store) -> None:
    """Counted in rows by the plan, not in time: the keyset is a condition of the index."""
    first = many.find(Query(order_by="expiry", limit=1000), NOW)
    text = plan(many, Query(order_by="expiry", limit=1000, after=first.next))
    assert "certificate_not_after_id" in text, text
    assert "not_after" in text.replace("certificate_not_after_id", "")
