"""The root's spare CRLs go out in their time, without the root's key (B-03, L-09)."""

from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509

from ca.ceremony.hold import Minutes, hold
from ca.ceremony.plans import RootPlan, demo_issuing
from ca.ceremony.spares import publish_due_spares
from ca.clock import system_clock
from ca.records import Actor

pytestmark = pytest.mark.slow

DAY = 86400
PLAN = replace(RootPlan(), crl_life=100 * DAY, crl_overlap=20 * DAY, spares=2)


@pytest.fixture
def published(world: Any, memory_root: Any) -> Any:
    room = world.room
    minutes = Minutes(Actor("ceremony", "alice"), lambda _: None)
    hold(room, PLAN, demo_issuing(("test",)), memory_root(PLAN), minutes)
    begin = system_clock()

    def number(days: float) -> tuple[int, int]:
        """Runs the job at that time; answers how many went out, and the number that is published then."""
        done = publish_due_spares(room.store, room.journal, room.publisher, lambda: int(begin + days * DAY))
        return done, world.folder.get("crl/root-g1/0000.crl").version

    return number


def test_b03_each_spare_is_published_when_its_time_has_come(published: Any, world: Any) -> None:
    assert published(0) == (0, 1)
    assert published(79) == (0, 1)
    assert published(80.1) == (1, 2)
    assert published(80.1) == (0, 2)
    assert published(160.1) == (1, 3)
    assert published(500) == (0, 3), "there are no more: the operator was warned in time"
    now = x509.load_der_x509_crl(world.folder.get("crl/root-g1/0000.crl").body)
    assert now.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 3


def test_inc02_after_a_long_sleep_they_go_out_one_by_one(published: Any) -> None:
    assert published(170) == (1, 2)
    assert published(170) == (1, 3)
