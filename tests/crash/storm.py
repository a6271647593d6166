"""The crash harness: clients at work, a killer among the processes, and the verdict when all is at rest again.

The test runs it for seconds, `python -m bench.crash --minutes 60` for as long as one likes.
"""

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.crash.clients import Told, crew
from tests.crash.service import Service
from tests.crash.verdict import judge, wait_for_rest


@dataclass(frozen=True)
class Plan:
    """At least `seconds` of work for so many clients, `least` certificates, and the mean pause between two kills."""

    seconds: float
    workers: int = 8
    pause: float = 1.0
    least: int = 25


@dataclass
class Outcome:
    """What happened: kills by victim, and what the verdict looked at."""

    killed: dict[str, int]
    seen: dict[str, int]
    seconds_to_rest: float


def storm(service: Service, plan: Plan, shown: Path, seed: int | None = None) -> Outcome:
    """Runs the plan over a running service; raises AssertionError when the verdict is that something told is not so."""
    told, stopping = Told(), threading.Event()
    crowd = [threading.Thread(target=one.run) for one in crew(service, told, stopping, plan.workers, shown)]
    for one in crowd:
        one.start()
    try:
        _kill(service, plan, told, random.Random(seed))
    finally:
        stopping.set()
    began = time.monotonic()
    service.keep()
    for one in crowd:
        one.join(330)
    assert not any(one.is_alive() for one in crowd), "a client waits for ever"
    wait_for_rest(service)
    rest = time.monotonic() - began
    return Outcome(dict(service.killed), judge(service, told), rest)


def _kill(service: Service, plan: Plan, told: Told, dice: random.Random) -> None:
    """One after the other in every order, so that each comes as often as the others, and at least once."""
    end, order = time.monotonic() + plan.seconds, _shuffled(service.victims, dice)
    while (
        time.monotonic() < end
        or service.killed.keys() != set(service.victims)
        or len(told.certificates) < plan.least  # a busy machine takes longer to get anywhere
    ):
        time.sleep(dice.uniform(0.3, 1.7) * plan.pause)
        if time.monotonic() > end:
            service.wait_until_ready(120)
        service.kill(next(order))


def _shuffled(victims: tuple[str, ...], dice: random.Random) -> Iterator[str]:
    while True:
        yield from dice.sample(victims, len(victims))
