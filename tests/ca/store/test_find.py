"""Search and paging: by name, owner, serial, expiry and status; pages neither overlap nor skip."""

import base64
import json
import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.search import SEARCHES
from bench.seed import NOW as SEED_NOW
from bench.seed import Company, fill
from ca.errors import BadRequest
from ca.records import SYSTEM, Certificate, Name, NameKind, Query, Reason, Revocation, serial_hex
from ca.store import Store, search
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
    assert found(store, name="*.a.b.c.d.e.f.g.h.test") == set()
    assert found(store, name="ay.example.test") == set()
    assert found(store, text="www.p") == {pay.serial}
    assert found(store, text="*.pay") == {wild.serial}
    assert found(store, text=serial_hex(other.serial)[:30].upper()) == {other.serial}
    assert found(store, text="%") == set()
    assert found(store, owner="payments", profile="mtls") == {pay.serial}
    assert found(store, account="a1") == {pay.serial}
    assert found(store, token="t1") == {wild.serial}
    assert found(store, issuer="issuing-g2") == set()
    assert found(store, issued_until=pay.issued_at) == {pay.serial, wild.serial, other.serial}
    assert found(store, issued_until=pay.issued_at - 1) == found(store, owner="payments", issued_until=1) == set()
    assert store.by_order("o9") == other


def test_a_certificate_is_listed_once_however_many_names_match(store: Store, issue: Issue) -> None:
    made = issue("a.example.test", "b.example.test", "a.a.example.test")
    assert store.find(Query(name="*.example.test"), NOW).items == (made,)
    assert store.find(Query(text="a"), NOW).items == (made,)


def test_addresses_and_long_names_are_filed_too(store: Store, issue: Issue) -> None:
    deep = ".".join("abcdefghijklmnop") + ".test"
    made = issue(deep, deep.removeprefix("a."))
    address = issue(names=(Name(NameKind.IP, "10.1.2.3"), Name(NameKind.URI, "spiffe://example.test/a")))
    assert found(store, name="*.h.i.j.k.l.m.n.o.p.test") == {made.serial}
    assert found(store, name="10.1.2.3") == found(store, text="spiffe://example") == {address.serial}
    assert found(store, name="*.test") == {made.serial}
    assert found(store, name="*.1.2.3") == set()


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


def cursor(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "query",
    [
        Query(limit=0),
        Query(limit=1001),
        Query(order_by="serial; DROP TABLE certificate"),
        Query(status="good"),
        Query(name="*.a.b.c.d.e.f.g.h.i.j.test"),
        Query(after="!!"),
        Query(after="bm8"),
        Query(after=cursor("issued", "1")),
        Query(after=cursor("issued", 1 << 63)),
        Query(after=cursor("issued", 1)),  # no such certificate
        Query(after=cursor("expiry", 1)),
        Query(after=cursor("issued", 1, 1)),
    ],
    ids=lambda query: f"{query.limit}-{query.order_by}-{query.status}{query.name}-{query.after}",
)
def test_what_is_no_query_is_refused(store: Store, query: Query) -> None:
    with pytest.raises(BadRequest):
        store.find(query, NOW)


# --- paging -------------------------------------------------------------------------------------

ORDERS = {
    "issued": lambda one: -one[0],
    "expiry": lambda one: (one[1].not_after, one[0]),
    "name": lambda one: (one[1].names[0].value, one[0]),
}
CHOICES = {
    "name": ["", "h1.a.test", "*.a.test", "*.test", "*.none.test"],
    "text": ["", "h", "h2", "01", "zz"],
    "status": ["", "valid", "expired", "expiring", "revoked"],
    "owner": ["", "red", "blue"],
    "profile": ["", "server", "client"],
    "issuer": ["", "issuing-g1"],
    "tag": ["", "env", "env=prod", "env=no", "critical", "none"],
    "order_by": list(ORDERS),
    "limit": [1, 2, 5],
}


def meets(one: Certificate, tags: tuple[str, ...], query: Query) -> bool:
    """The same search, said in Python."""
    name = one.names[0].value
    by_name = name.endswith(query.name[1:]) if query.name.startswith("*.") else name == query.name
    statuses = {one.status(NOW)} | ({"expiring"} if one.status(NOW) == "valid" and one.not_after < NOW + 2 else set())
    return (
        (by_name or not query.name)
        and (name.startswith(query.text) or serial_hex(one.serial).startswith(query.text))
        and (not query.status or query.status in statuses)
        and query.owner in ("", one.owner)
        and query.profile in ("", one.profile)
        and query.issuer in ("", one.issuer)
        and query.tag in ("", *tags, *(tag.partition("=")[0] for tag in tags))
    )


@pytest.fixture
def crowd(store: Store, issue: Issue) -> list[Certificate]:
    """Thirty certificates of every kind, in the order of their issue."""
    made = [
        issue(
            f"h{n % 4}.{'ab'[n % 3 == 0]}.test",
            not_after=NOW + n % 5 - 2,
            owner=("red", "blue", "")[n % 3],
            profile="client" if n > 26 else "server",
        )
        for n in range(30)
    ]
    for one in made[::7]:
        store.revoke(Revocation("issuing-g1", one.serial, NOW, Reason.SUPERSEDED, SYSTEM, one.not_after))
    for n, one in enumerate(made):
        tags = [("env", f"env={('prod', 'test')[n % 2]}"), ("critical", "critical")][: n % 3]
        with store.transaction():
            store.change_tags(store.tags_for_change(one)[0], [], tags)
    return [store.by_serial(one.serial) for one in made]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.fixed_dictionaries({name: st.sampled_from(some) for name, some in CHOICES.items()}), data=st.data())
def test_pages_are_the_whole_list_in_order_whichever_way_leads_to_them(
    store: Store, crowd: list[Certificate], fields: dict[str, object], data: st.DataObject
) -> None:
    """With bounds so low that few are many, and walks end early."""
    query = Query(expiring_within=2, **fields)  # type: ignore[arg-type]
    numbered = sorted(enumerate(crowd), key=ORDERS[query.order_by])
    few, steps, narrow = (data.draw(st.sampled_from(some)) for some in ([0, 3, 99], [1, 4, 99], [2, 99]))
    with pytest.MonkeyPatch.context() as bounds:
        for name, value in (("FEW", few), ("STEPS", steps), ("NARROW_STEPS", narrow)):
            bounds.setattr(search, name, value)
        got = [one for page in pages(store, query) for one in page]
    tags = store.tags(crowd)
    assert got == [one for _, one in numbered if meets(one, tags.get(one.serial, ()), query)]


def test_a_plain_list_has_full_pages(store: Store, crowd: list[Certificate]) -> None:
    for order in ORDERS:
        assert [len(page) for page in pages(store, Query(order_by=order, limit=7))] == [7, 7, 7, 7, 2]


def test_what_is_issued_meanwhile_neither_shifts_nor_repeats_a_page(store: Store, issue: Issue) -> None:
    made = [issue(created_at=NOW + n) for n in range(6)]
    seen = []
    for page in pages(store, Query(limit=2)):
        seen += [one.serial for one in page]
        issue(created_at=NOW + 100)
    assert seen == [one.serial for one in reversed(made)]


def test_a_cursor_tells_nothing_of_what_was_passed_on_the_way(
    store: Store, issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("FEW", 0), ("STEPS", 1)):
        monkeypatch.setattr(search, name, value)
    issue("a.secret.test", token="theirs")
    issue("b.secret.test", token="mine")
    page = store.find(Query(token="mine", order_by="name"), NOW)
    assert page.items == ()
    assert json.loads(base64.b64decode(page.next + "==")) == ["name", 1]


# --- what a page costs --------------------------------------------------------------------------

MANY = 20_000


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """What `bench/seed.py` leaves of 20,000 certificates."""
    url = f"sqlite:///{tmp_path_factory.mktemp('many')}/many.sqlite"
    fill(url, Company(MANY))
    store = Store.open(url)
    yield store
    store.close()


def instructions(store: Store, query: Query) -> int:
    """What a page costs SQLite, in hundreds of its virtual machine's instructions."""
    spent = 0

    def tick() -> int:
        nonlocal spent
        spent += 1
        return 0

    with store.reading():
        connection = store.database.connection()
        connection.set_progress_handler(tick, 100)
        try:
            store.find(query, SEED_NOW)
        finally:
            connection.set_progress_handler(None, 0)
    return spent


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCHES)
def test_no_search_costs_more_than_its_bound(many: Store, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds and database are both a fiftieth of the real ones: a plan that sorts or reads all that match shows."""
    for bound in ("FEW", "STEPS", "NARROW_STEPS"):
        monkeypatch.setattr(search, bound, getattr(search, bound) // 50)
    query = SEARCHES[name](random.Random(1), many)
    costs = []
    for _ in range(3):
        costs.append(instructions(many, replace(query, limit=20)))
        after = many.find(query, SEED_NOW).next
        if not after:
            break
        query = replace(query, after=after)
    assert max(costs) < (1500 if query.status else 600), costs


@pytest.mark.slow
@pytest.mark.parametrize("query", [Query(owner="team001"), Query(name="*.x.test"), Query(order_by="expiry"), Query()])
def test_a_deep_page_costs_no_more_than_the_first(many: Store, query: Query) -> None:
    costs = []
    for _ in range(100):
        query = replace(query, limit=20)
        costs.append(instructions(many, query))
        query = replace(query, after=many.find(query, SEED_NOW).next)
    assert costs[-1] < 1.5 * costs[0], costs
