"""People, sign-ins, proposals, counts and the search of the journal, on both databases."""

from dataclasses import replace

import pytest

from ca.errors import BadRequest, Conflict, NotFound
from ca.journal import Journal
from ca.people import ClientCertificate, Passkey, Person, Proposal, SignIn
from ca.records import SYSTEM, Event, Reason, Revocation
from ca.store import EventQuery, Store
from tests.ca.store.things import NOW, certificate, intent

DAY = 86400
ALICE = Person("alice", ("viewer", "operator"), ("pay team",), NOW, "operator:root", NOW, "operator:root")
SIGNED_IN = SignIn("s1", "alice", "passkey", NOW, NOW, NOW, NOW + DAY, 0, "192.0.2.1", "a browser")


def test_a_person_is_kept_as_given_and_a_name_is_taken_for_ever(store: Store) -> None:
    store.add_person(ALICE)
    assert store.person("alice") == ALICE
    with pytest.raises(Conflict):
        store.add_person(replace(ALICE, roles=("administrator",)))
    with pytest.raises(NotFound):
        store.person("bob")


def test_grants_credentials_and_shutting_out_change_nothing_else(store: Store) -> None:
    store.add_person(ALICE)
    granted = replace(ALICE, roles=("auditor",), teams=(), granted_at=NOW + 5, granted_by="user:bob")
    store.set_grants(granted)
    store.set_password("alice", "$argon2id$…", b"\x00sealed")
    store.set_disabled("alice", NOW + 9)
    assert store.person("alice") == replace(granted, password="$argon2id$…", totp=b"\x00sealed", disabled_at=NOW + 9)


def test_a_step_of_one_time_passwords_is_used_once_and_only_forward(store: Store) -> None:
    store.add_person(ALICE)
    assert [store.use_totp_step("alice", step) for step in (7, 7, 6, 8)] == [True, False, False, True]


def test_passkeys(store: Store) -> None:
    first, second = (Passkey(name, "alice", name, b"cose", 0, NOW + at) for at, name in enumerate(("k1", "k2")))
    for one in (second, first):
        store.add_passkey(one)
    assert store.passkeys("alice") == (first, second)
    store.passkey_used("k1", 3, NOW + 60)
    assert store.passkey("k1") == replace(first, sign_count=3, last_used=NOW + 60)
    with pytest.raises(NotFound):
        store.remove_passkey("bob", "k1")
    store.remove_passkey("alice", "k1")
    assert store.passkeys("alice") == (second,)


def test_a_link_is_used_once_in_its_time_and_the_newer_one_counts(store: Store) -> None:
    store.add_link("alice", "old", NOW, NOW + 900)
    store.add_link("alice", "new", NOW + 1, NOW + 901)
    for digest, at in (("old", NOW + 2), ("new", NOW + 901), ("none", NOW)):
        with pytest.raises(NotFound):
            store.use_link(digest, at)
    assert store.use_link("new", NOW + 900) == "alice"
    with pytest.raises(NotFound):
        store.use_link("new", NOW + 900)


def test_sign_ins_end_one_by_one_and_all_together(store: Store) -> None:
    store.add_sign_in(SIGNED_IN, "d1")
    store.add_sign_in(replace(SIGNED_IN, id="s2"), "d2")
    store.sign_in_seen(SIGNED_IN, NOW + 30)
    assert store.sign_in("d1").seen_at == NOW
    store.sign_in_seen(SIGNED_IN, NOW + 60)
    store.sign_in_fresh("s1", "password", NOW + 61)
    assert store.sign_in("d1") == replace(SIGNED_IN, seen_at=NOW + 60, fresh_at=NOW + 61, method="password")
    with pytest.raises(NotFound):
        store.end_sign_in("bob", "s1", NOW)
    store.end_sign_in("alice", "s1", NOW + 70)
    store.end_sign_in("alice", "s1", NOW + 80)
    assert store.sign_in("d1").ended_at == NOW + 70
    assert [one.id for one in store.sign_ins("alice", NOW)] == ["s2"]
    store.end_sign_ins("alice", NOW + 90)
    assert store.sign_ins("alice", NOW) == ()
    assert store.sign_in("d1").ended_at == NOW + 70


def test_a_client_certificate_is_one_persons(store: Store) -> None:
    card = ClientCertificate("a" * 64, "alice", "CN=Alice", NOW + DAY, NOW, "operator:root")
    other = replace(card, sha256="b" * 64, person="bob")
    store.bind_certificate(card)
    store.bind_certificate(other)
    with pytest.raises(Conflict):
        store.bind_certificate(replace(card, person="bob"))
    assert store.client_certificate(card.sha256) == card
    assert (store.client_certificates("bob"), store.client_certificates()) == ((other,), (card, other))
    with pytest.raises(NotFound):
        store.unbind_certificate("bob", card.sha256)
    store.unbind_certificate("alice", card.sha256)
    with pytest.raises(NotFound):
        store.client_certificate(card.sha256)


def test_a_challenge_is_good_once_for_its_purpose_and_old_ones_go(store: Store) -> None:
    store.add_challenge("c1", "sign-in", NOW, NOW + 300, 9)
    store.add_challenge("c2", "sign-in", NOW, NOW + 300, 9)
    assert not store.use_challenge("c1", "enrol:alice", NOW)
    assert store.use_challenge("c1", "sign-in", NOW)
    assert not store.use_challenge("c1", "sign-in", NOW)
    assert not store.use_challenge("c2", "sign-in", NOW + 300)
    store.add_challenge("c3", "sign-in", NOW + 300, NOW + 600, 9)
    assert store.rows("SELECT id FROM webauthn_challenge") == [("c3",)]


def test_many_challenges_crowd_out_the_oldest_of_their_purpose_alone(store: Store) -> None:
    store.add_challenge("confirm", "confirm:1", NOW, NOW + 300, 3)
    for number in range(5):
        store.add_challenge(f"c{number}", "sign-in", NOW + number, NOW + number + 300, 3)
    found = [store.use_challenge(f"c{number}", "sign-in", NOW + 9) for number in range(5)]
    assert found == [False, False, True, True, True]
    assert store.use_challenge("confirm", "confirm:1", NOW + 9)


def test_failures_are_kept_and_forgotten(store: Store) -> None:
    store.set_failures("a", 1, NOW + 1, NOW - 3600)
    store.set_failures("a", 2, NOW + 2, NOW - 3600)
    assert store.failures("a") == (2, NOW + 2)
    store.set_failures("b", 1, NOW + 9000, NOW + 5000)
    assert store.failures("a") == (0, 0)
    store.clear_failures("b")
    assert store.failures("b") == (0, 0)


def test_a_proposal_is_decided_once_and_in_its_time(store: Store) -> None:
    one = Proposal("p1", "grant", '{"name":"bob"}', "alice", NOW, NOW + 100)
    store.add_proposal(one)
    assert store.open_proposals(NOW) == (one,)
    assert store.open_proposals(NOW + 100) == ()
    assert not store.decide(one, "approved", "bob", NOW + 100, "{}")
    assert store.decide(one, "approved", "bob", NOW + 50, "{}")
    assert not store.decide(one, "refused", "carol", NOW + 51, "")
    approved = store.proposal("p1")
    assert not store.decide(approved, "refused", "carol", NOW + 51, "")
    store.end_proposal(approved, "done", "it is so")
    store.end_proposal(approved, "failed", "again")
    decided = replace(one, state="done", decided_by="bob", decided_at=NOW + 50, assertion="{}", outcome="it is so")
    assert store.proposals() == (decided,)
    assert decided.digest == one.digest


def test_what_was_done_alone_is_reviewed_once_and_without_haste(store: Store) -> None:
    one = Proposal("p1", "revoke-many", "{}", "alice", NOW, NOW + 100, "emergency")
    store.add_proposal(one)
    store.end_proposal(one, "emergency", "it is so")
    (done,) = store.open_proposals(NOW + 1000)
    assert (done.state, done.outcome) == ("emergency", "it is so")
    assert store.decide(done, "reviewed", "bob", NOW + 1000, "{}")
    assert not store.decide(done, "reviewed", "carol", NOW + 1000, "{}")
    assert store.open_proposals(NOW + 1000) == ()


def test_the_digest_of_a_proposal_covers_all_of_it() -> None:
    one = Proposal("p1", "grant", "{}", "alice", 1, 2)
    others = [
        {"id": "p2"},
        {"kind": "x"},
        {"body": "[]"},
        {"proposed_by": "bob"},
        {"proposed_at": 2},
        {"expires_at": 3},
    ]
    assert len({one.digest, *(replace(one, **other).digest for other in others)}) == 7


def test_counts(store: Store) -> None:
    made = []
    for days in (0, 1, 1, 5):
        one = replace(intent(), not_after=NOW + days * DAY + 10)
        store.begin(one)
        made.append(certificate(one))
        store.finish(one.id, made[-1])
    last = made[-1]
    store.revoke(Revocation(last.issuer, last.serial, NOW, Reason.SUPERSEDED, SYSTEM, last.not_after))
    assert store.count_expiring(NOW, 3) == {0: 1, 1: 2}
    assert store.count_unrevoked(NOW + 20) == (2, 1)
    assert store.count_revoked() == 1
    profile, owner = made[0].profile, made[0].owner
    assert store.count_by("expiring", "profile", NOW, NOW + 3 * DAY) == ((profile, 3),)
    assert store.count_by("issued", "owner", 0, NOW * 2) == ((owner, 4),)
    assert store.count_by("revoked", "profile", NOW, NOW + 1) == ((profile, 1),)
    assert store.count_by("revoked", "profile", NOW + 1, NOW + 2) == ()
    assert store.size() >= 4
    assert store.count_stale() >= 0
    assert store.count_late(NOW * 2, 3) == 3
    assert store.published("crl/") == ()
    assert [one.serial for one in store.named(made[0].names[0].value, 1)] == [last.serial]


def test_the_journal_is_searched_and_counted(store: Store) -> None:
    times = iter(range(NOW, NOW + 1000, 100))
    journal = Journal(store, lambda: next(times))
    for number in range(6):
        with store.transaction():
            action = "token.created" if number % 2 else "token.revoked"
            journal.append(Event(action, SYSTEM, f"token:{number}"))

    def found(**wanted: object) -> list[str]:
        return [row.target for row in store.find_events(EventQuery(**wanted), 10)[0]]

    assert found() == [f"token:{number}" for number in (5, 4, 3, 2, 1, 0)]
    assert found(action="token.created") == ["token:5", "token:3", "token:1"]
    assert found(target="token:2") == ["token:2"]
    assert found(target="token:*", since=NOW + 200, until=NOW + 400) == ["token:3", "token:2"]
    assert found(actor="user:nobody") == []
    rows, place = store.find_events(EventQuery(), 4)
    assert [row.target for row in store.find_events(EventQuery(before=place), 4)[0]] == ["token:1", "token:0"]
    assert len(rows) == 4
    assert store.count_events(NOW, ("token.created",)) == {("token.created", 0): 3}


def test_a_name_that_no_database_holds_is_the_asker_s_fault(store: Store) -> None:
    """PostgreSQL knows no NUL: that is no outage, and a stranger at the sign-in must not make it look like one."""
    with pytest.raises((NotFound, BadRequest)):
        store.person("a\x00b")
