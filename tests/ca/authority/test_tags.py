"""Tags: what is one, who sets them, all or none, and what the journal says of it."""

from dataclasses import replace

import pytest

from ca import journal
from ca.authority import Authority, keeping, tags
from ca.authority.masses import begin
from ca.authority.seat import Seat
from ca.authority.tags import Change
from ca.errors import BadRequest, Denied, NotFound
from ca.people import Person, SignIn
from ca.records import Actor, Certificate, Query, Reason, RevokeRequest, serial_hex
from tests.ca.authority.world import a_request

OPERATOR = Actor("operator", "alice")


def issue(authority: Authority, *labels: str, owner: str = "") -> Certificate:
    return authority.issue(replace(a_request(), owner=owner, tags=labels))


def tags_of(authority: Authority, one: Certificate) -> tuple[str, ...]:
    return authority.tags([one]).get(one.serial, ())


def told(authority: Authority, one: Certificate) -> list[dict[str, object]]:
    events = journal.history(authority.store, f"certificate:{one.issuer}:{serial_hex(one.serial)}")
    return [event["detail"] for event in events if event["action"] == "certificate.tagged"]


@pytest.mark.parametrize(
    "text", ["critical", "env=prod", "a.b_c-9=x", "env=Bücher & Söhne", "n=<b>", "f==1+1", "a=b=c"]
)
def test_what_is_a_tag(text: str) -> None:
    assert tags.parse([f" {text} ", "", text]) == (text,)


LONG = ("a" * 41, "a=" + "b" * 61, "a=" + "b" * 65536)
HOSTILE = ("a=\u202eb", "a=\x00", "a=\u200b", "a=x\ny", 'a="', "a=x,y", "a= x", "\u0430", "<script>")


@pytest.mark.parametrize("text", ["Env", "=x", "env=", "e v", "-a", "=cmd", "+1", "@a", *LONG, *HOSTILE])
def test_what_is_none(text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        tags.parse([text])
    assert len(str(caught.value)) < 400


def test_a_key_stands_once_and_there_are_not_too_many(authority: Authority) -> None:
    for texts in (["env=a", "env=b"], ["env", "env=b"], [f"t{n}" for n in range(tags.MOST + 1)]):
        with pytest.raises(BadRequest):
            tags.parse(texts)
    one, other = issue(authority, *(f"t{n}" for n in range(tags.MOST))), issue(authority)
    with pytest.raises(BadRequest):
        tags.retag(authority, [one, other], Change(("more",)), OPERATOR)
    assert tags_of(authority, other) == ()  # all or none
    assert tags.retag(authority, [one], Change(("more",), ("t0",)), OPERATOR) == 1


def test_they_are_set_exchanged_and_taken_off_and_the_journal_says_so(authority: Authority) -> None:
    one = issue(authority, "critical", "env=prod")
    assert tags_of(authority, one) == ("critical", "env=prod")
    assert tags.retag(authority, [one], Change(("env=test",), ("critical", "absent")), OPERATOR) == 1
    assert tags.retag(authority, [one], Change(("env=test",)), OPERATOR) == 0
    assert tags_of(authority, one) == ("env=test",)
    assert told(authority, one) == [
        {"set": ["critical", "env=prod"], "off": []},
        {"set": ["env=test"], "off": ["critical", "env=prod"]},
    ]


def test_certificates_are_found_by_key_and_by_tag(authority: Authority) -> None:
    prod, test, bare = (issue(authority, one) for one in ("where=prod", "where=test", "where"))
    asked = ("where", "where=prod", "wher")
    found = {tag: {one.serial for one in authority.find(Query(tag=tag)).items} for tag in asked}
    assert found == {"where": {prod.serial, test.serial, bare.serial}, "where=prod": {prod.serial}, "wher": set()}


def test_who_may(authority: Authority) -> None:
    now, one = authority.clock(), issue(authority, owner="pay")

    def seat(role: str, *teams: str) -> Seat:
        return Seat(authority, Person("ann", (role,), teams), SignIn("s", "ann", "passkey", now, now, 0, now + 3600))

    for nobody in (seat("operator", "shop"), seat("viewer", "pay"), seat("administrator", "pay")):
        with pytest.raises(Denied):
            keeping.tag(authority, nobody, [one.serial], Change(("a",)))
    with pytest.raises(NotFound):
        keeping.tag(authority, seat("operator", "pay"), [one.serial, 1], Change(("a",)))
    assert tags_of(authority, one) == ()
    assert keeping.tag(authority, seat("operator", "pay"), [one.serial], Change(("a",))) == 1
    assert keeping.tag(authority, seat("security-officer"), [one.serial], Change(("b",))) == 1


def test_no_mass_revocation_hangs_on_a_tag(authority: Authority) -> None:
    with pytest.raises(BadRequest):
        begin(authority, Query(tag="env", owner="pay"), RevokeRequest(Reason.SUPERSEDED, OPERATOR))
