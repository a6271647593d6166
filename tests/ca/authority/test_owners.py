"""Handing certificates over: who may, all or none, and what the journal says of it."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from ca import journal
from ca.authority import Authority, keeping, owners
from ca.authority.seat import Seat
from ca.errors import BadRequest, Conflict, Denied, NotFound, StepUpNeeded
from ca.people import Person, SignIn
from ca.records import Actor, Certificate, Query, serial_hex
from tests.ca.authority.world import a_request

OPERATOR = Actor("operator", "alice")
Sit = Callable[..., Seat]


@pytest.fixture
def sit(authority: Authority) -> Sit:
    """Somebody of a role and teams at the desk, with a proof of now."""

    def seat(role: str, *teams: str, fresh: bool = True) -> Seat:
        now = authority.clock()
        one = SignIn("s", "ann", "passkey", now, now, now if fresh else 0, now + 3600)
        return Seat(authority, Person("ann", (role,), teams), one)

    return seat


def issue(authority: Authority, owner: str = "") -> Certificate:
    return authority.issue(replace(a_request(), owner=owner))


def told(authority: Authority, one: Certificate) -> list[dict[str, object]]:
    events = journal.history(authority.store, f"certificate:{one.issuer}:{serial_hex(one.serial)}")
    return [event["detail"] for event in events if event["action"] == "certificate.handed-over"]


def test_it_is_the_other_teams_from_then_on_and_the_journal_says_so(authority: Authority, sit: Sit) -> None:
    one, operator = issue(authority, "pay"), sit("operator", "pay")
    assert keeping.hand_over(authority, operator, [one.serial], " shop team ") == 1
    assert authority.certificate(one.serial) == replace(one, owner="shop team")
    assert authority.find(Query(owner="shop team")).items == (replace(one, owner="shop team"),)
    assert one.serial not in {found.serial for found in authority.find(Query(owner="pay")).items}
    assert told(authority, one) == [{"from": "pay", "to": "shop team"}]
    with pytest.raises(Denied):
        keeping.hand_over(authority, operator, [one.serial], "pay")


def test_who_may(authority: Authority, sit: Sit) -> None:
    one, nobodys = issue(authority, "pay"), issue(authority)
    for seat in (sit("operator", "shop"), sit("operator"), sit("viewer", "pay"), sit("administrator", "pay")):
        with pytest.raises(Denied):
            keeping.hand_over(authority, seat, [one.serial], "shop")
    with pytest.raises(Denied):
        keeping.hand_over(authority, sit("operator", "pay"), [nobodys.serial], "pay")
    with pytest.raises(StepUpNeeded):
        keeping.hand_over(authority, sit("operator", "pay", fresh=False), [one.serial], "shop")
    assert keeping.hand_over(authority, sit("security-officer"), [one.serial, nobodys.serial], "shop") == 2


def test_all_change_or_none(authority: Authority, sit: Sit) -> None:
    ours, theirs = issue(authority, "pay"), issue(authority, "shop")
    for other, error in ((theirs.serial, Denied), (1, NotFound)):
        with pytest.raises(error):
            keeping.hand_over(authority, sit("operator", "pay"), [ours.serial, other], "new")
    assert authority.certificate(ours.serial).owner == "pay"
    authority.store.set_owner(theirs, "elsewhere")
    with pytest.raises(Conflict):  # read before it changed hands
        owners.assign(authority, [ours, theirs], "new", OPERATOR)
    assert authority.certificate(ours.serial).owner == "pay"
    assert told(authority, ours) == []


def test_the_same_owner_again_is_no_change(authority: Authority, sit: Sit) -> None:
    one = issue(authority, "pay")
    assert keeping.hand_over(authority, sit("operator", "pay"), [one.serial] * 3, "pay") == 0
    assert told(authority, one) == []


@pytest.mark.parametrize("team", ["", "  ", "a\u202eb", "nul\x00", "line\nbreak", "x" * 65536])
def test_what_is_no_team_is_refused(authority: Authority, sit: Sit, team: str) -> None:
    one = issue(authority, "pay")
    with pytest.raises(BadRequest):
        keeping.hand_over(authority, sit("operator", "pay"), [one.serial], team)


def test_how_many_at_once(authority: Authority, sit: Sit) -> None:
    for serials in ([], range(1, keeping.AT_ONCE + 2)):
        with pytest.raises(BadRequest):
            keeping.hand_over(authority, sit("security-officer"), serials, "shop")
