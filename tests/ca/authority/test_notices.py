"""What people are told, once, and how it gets to them in spite of everything."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ca.authority import notices
from ca.authority.notices import GRACE, RETRIES
from ca.config import Config
from ca.errors import NotFound, Unavailable
from ca.people import Proposal
from ca.records import SYSTEM, Actor, Notice, Reason
from tests.ca.authority.fast import FastWorld
from tests.ca.authority.world import a_request

DAY = 86400
LIFE = 12 * DAY
BOB = Actor("operator", "bob")


class Way:
    """Takes everything, until it is told to fail."""

    def __init__(self) -> None:
        self.sent: list[Notice] = []
        self.trouble = ""

    def send(self, notice: Notice, _now: int) -> None:
        if self.trouble:
            raise Unavailable(self.trouble)
        self.sent.append(notice)

    def titles(self) -> list[str]:
        return [one.title for one in self.sent]


class Told(FastWorld):
    """A world with channels, each of which keeps what it sent."""

    ways: dict[str, Way]

    def has(self, monkeypatch: pytest.MonkeyPatch, **channels: dict[str, Any]) -> None:
        given = {"kind": "chat", "url_file": "nowhere"}
        tables = {name: {**given, **one} for name, one in channels.items()}
        config = Config.model_validate({**self.config.model_dump(), "channels": tables})
        self.authority = replace(self.authority, config=config)
        self.ways = {name: Way() for name in channels}
        opened = notices.open_channels
        monkeypatch.setattr(
            notices,
            "open_channels",
            lambda config: {name: replace(one, way=self.ways[name]) for name, one in opened(config).items()},
        )

    def look(self, seconds: int = 0) -> None:
        self.clock.now += seconds
        notices.collect(self.authority)
        notices.send(self.authority)

    def quiet(self) -> None:
        """No alarm of a world without scheduler."""
        self.authority.store.job_ran("all", self.clock.now, self.clock.now, True)


@pytest.fixture
def world(make: Callable[..., FastWorld], monkeypatch: pytest.MonkeyPatch) -> Told:
    made = make()
    made.__class__ = Told
    assert isinstance(made, Told)
    monkeypatch.setattr(notices, "lights", lambda _desk: ())
    return made


def test_whoever_owns_what_ends_is_told_once_a_day_in_one_notice(world: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    world.has(monkeypatch, all={}, pay={"owners": ["pay team"]}, approvals={"tells": ["approval"]})
    for name in ("a.pay.test", "b.pay.test"):
        world.authority.issue(a_request(name, owner="pay team", validity=LIFE))
    world.authority.issue(a_request("a.shop.test", owner="shop team", validity=LIFE))
    world.look()
    assert not world.ways["all"].sent
    world.look(10 * DAY)
    assert world.ways["pay"].titles() == ["2 certificates of pay team end soon"]
    assert sorted(world.ways["all"].titles()) == [
        "1 certificate of shop team ends soon",
        "2 certificates of pay team end soon",
    ]
    assert not world.ways["approvals"].sent
    assert "a.pay.test: ends" in world.ways["pay"].sent[0].lines[0]
    assert world.ways["pay"].sent[0].link.endswith("/ui/certificates?q=status:expiring")
    world.look(60)
    assert len(world.ways["all"].sent) == 2
    world.look(DAY)
    assert len(world.ways["all"].sent) == 4


def test_what_was_renewed_or_revoked_is_not_told(world: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    world.has(monkeypatch, all={})
    world.authority.issue(a_request("renewed.test", validity=LIFE))
    ended = world.authority.issue(a_request("revoked.test", validity=LIFE))
    world.clock.now += 8 * DAY
    world.authority.issue(a_request("renewed.test", validity=LIFE))
    world.authority.revoke(ended, Reason.SUPERSEDED, SYSTEM)
    world.look(2 * DAY)
    assert not world.ways["all"].sent


def test_an_acme_client_that_is_silent_is_told_of_earlier(world: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    world.has(monkeypatch, all={})
    config = world.authority.config
    monkeypatch.setitem(config.__dict__, "notify", config.notify.model_copy(update={"ending": DAY}))
    world.authority.issue(a_request("silent.test", account="acct-1", validity=28 * DAY))
    world.authority.issue(a_request("by-hand.test", validity=28 * DAY))
    world.look(22 * DAY)
    assert world.ways["all"].titles() == ["1 certificate should have been renewed by ACME"]


def test_a_failing_job_is_told_once_until_it_succeeds_and_a_blip_never(
    world: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.has(monkeypatch, all={})
    store, now = world.authority.store, world.clock.now
    store.job_ran("renew_responders", now, now, False, "HSMUnavailable")
    world.look()
    world.look(GRACE // 2)
    assert not world.ways["all"].sent
    store.job_ran("renew_responders", now, now, True)
    world.look(GRACE)
    assert not world.ways["all"].sent
    assert not store.notices(10)
    store.job_ran("renew_responders", now, now, False, "HSMUnavailable")
    world.look()
    world.look(GRACE)
    world.look(3 * DAY)
    assert world.ways["all"].titles() == ["The job renew_responders fails"]


def test_late_lists_are_an_alarm(world: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    world.has(monkeypatch, all={"tells": ["alarm"]})
    world.authority.publish_crls()
    world.quiet()
    world.clock.now += world.config.ca.crl_life
    world.look()
    world.look(GRACE)
    assert any(title.startswith("CRLs: shard") for title in world.ways["all"].titles())
    told = len(world.ways["all"].sent)
    world.look(60)
    assert len(world.ways["all"].sent) == told


def test_a_proposal_that_waits_is_told_to_all_who_are_told_of_proposals(
    world: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.has(monkeypatch, people={"tells": ["approval"]}, pay={"owners": ["pay team"]})
    body = '{"name":"eve","roles":["viewer"],"teams":[]}'
    world.authority.store.add_proposal(Proposal("p1", "invite", body, "ann", world.clock.now, world.clock.now + DAY))
    world.look()
    world.look(3600)
    [told] = world.ways["people"].sent
    assert told.title == "A proposal of ann waits for approval"
    assert "eve" in told.lines[0]
    assert told.link.endswith("/ui/approvals/p1")
    assert not world.ways["pay"].sent


def test_what_was_done_alone_in_an_emergency_is_an_alarm_at_once(world: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    world.has(monkeypatch, people={"tells": ["approval"]}, night={"tells": ["alarm"]})
    body = '{"query":{"name":"*.pay.test"},"reason":"keyCompromise","total":3,"emergency":"nobody was awake"}'
    times = (world.clock.now, world.clock.now + DAY)
    world.authority.store.add_proposal(Proposal("p2", "revoke-many", body, "ann", *times, "emergency"))
    world.look()
    world.look(3600)
    [told] = world.ways["night"].sent
    assert told.title == "ann acted alone in an emergency"
    assert "3 certificates" in told.lines[0]
    assert told.lines[1] == "nobody was awake"
    assert not world.ways["people"].sent
    world.authority.store.decide(world.authority.store.proposal("p2"), "reviewed", "bob", world.clock.now, "x")


def test_what_is_not_taken_is_tried_again_and_given_up_in_the_end(world: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    world.has(monkeypatch, broken={}, well={})
    world.ways["broken"].trouble = "The mail server is away."
    for name in ("broken", "well"):
        notices.try_out(world.authority, name, BOB)
    report = notices.send(world.authority)
    assert (report.done, report.failed, report.detail) == (1, 1, "broken")
    for wait in RETRIES:
        assert notices.send(world.authority).failed == 0  # not yet
        world.clock.now += wait
        assert notices.send(world.authority).failed == 1
    [one] = [one for one in world.authority.store.notices(10) if one.channel == "broken"]
    assert (one.state, one.failures, one.trouble) == ("failed", len(RETRIES) + 1, "The mail server is away.")
    world.ways["broken"].trouble = ""
    notices.try_out(world.authority, "broken", BOB)
    notices.send(world.authority)
    assert [one.lines for one in world.ways["broken"].sent] == [("bob had this channel (broken) tried.",)]


def test_of_a_channel_that_is_gone_nothing_is_sent(world: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    world.has(monkeypatch, old={})
    notices.try_out(world.authority, "old", BOB)
    world.has(monkeypatch, new={})
    notices.send(world.authority)
    [one] = world.authority.store.notices(10)
    assert one.state == "failed"
    with pytest.raises(NotFound):
        notices.try_out(world.authority, "old", BOB)


def test_old_notices_are_forgotten(world: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    world.has(monkeypatch, all={})
    notices.try_out(world.authority, "all", BOB)
    world.look()
    world.look(notices.KEPT + 1)
    assert not world.authority.store.notices(10)
