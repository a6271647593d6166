"""The wall clock as the authority believes it: this node's, held against the machine's, the database's and the past.

It is a clock: asked for the time it tells the best known one, so that what must be written down while the wall clock
is wrong (a revocation, a journal entry) has a time that can be used. Whatever signs, expires or purges first demands
that the wall clock is sound. What was believed in this boot of this node stands in the database, for all its processes.
"""

import time
from collections.abc import Mapping
from threading import Lock

import msgspec
import structlog

from ca.clock import Clock, Look, Reading, Skew, Trust, believed, best, skew, system_clock, system_reading
from ca.errors import NotFound, StoreUnavailable
from ca.journal import Journal
from ca.records import SYSTEM, Actor, Event
from ca.store import Store

log = structlog.get_logger()

SETTING = "clock:"
"""What begins the names of the settings that hold what was believed, one for each boot of a node."""

LATEST = "clock-latest"
"""The setting that keeps the latest time that was believed, when an operator accepts an earlier one."""

FRESH = 5.0
"""Seconds for which a process holds the clock against what it read last in the database."""

DATABASE = "the database's clock"


class _Believed(msgspec.Struct, frozen=True):
    wall: int
    boot: int
    last: int


class WallClock:
    """The clock of one process. Thread-safe. `look` is None for a clock that is handed in: its owner answers for it."""

    def __init__(self, store: Store, clock: Clock = system_clock, look: Look | None = None) -> None:
        self._store = store
        self._clock = clock
        self._look = look or (system_reading if clock is system_clock else None)
        self._lock = Lock()
        self._until = 0.0
        self._database = Skew(0, DATABASE)
        self._latest = 0
        self._trust = Trust(self._look() if self._look else Reading(0, 0, ""))

    def __call__(self) -> int:
        """The best known time."""
        if self._look is None:
            return self._clock()
        reading = self._look()
        if skew(reading, self._trust).sound:  # asked for at every turn
            return reading.wall
        self._refresh(reading)
        return best(reading, self._trust)

    def demand(self) -> None:
        """Returns while the wall clock is sound. Raises `ClockWrong`."""
        self.skew().demand()

    def skew(self) -> Skew:
        """How far it is off. A database that cannot be asked has no part in it."""
        if self._look is None:
            return Skew(0, "")
        reading = self._look()
        self._refresh(reading)
        own = skew(reading, self._trust)
        return self._database if own.sound and not self._database.sound else own

    def latest(self) -> int:
        """The latest time that was believed before a clock was accepted; 0 if none was. Nothing published goes back."""
        return self._latest

    def watch(self, journal: Journal, node: str) -> Skew:
        """Writes down what is believed, or that the clock is wrong: once, until it is right again."""
        found = self.skew()
        if self._look is None:
            return found
        reading = self._look()
        if found.sound:
            self._keep(reading, believed(reading, self._trust))
        _tell(self._store, journal, node, found)
        return found

    def accept(self, journal: Journal, node: str, actor: Actor) -> Skew:
        """Believes the clock as it is from now on, on all processes of this node; answers how far it was off.

        Raises `ClockWrong` when it differs from the database's clock: one of the two is wrong now, and stays so.
        """
        found = self.skew()
        self._database.demand()
        if self._look is None:
            return found
        reading = self._look()
        with self._store.transaction():
            rows = _all(self._store)
            self._store.set_setting(LATEST, str(max(_latest(self._store), *(one.last for one in rows.values()), 0)))
            for name, one in rows.items():
                self._store.set_setting(name, _encoded(msgspec.structs.replace(one, last=reading.wall)))
            self._keep(reading, Trust(reading, reading.wall))
            journal.append(_event("clock.accepted", actor, node, found))
        return found

    # --- what is believed ---

    def _refresh(self, reading: Reading) -> None:
        """Reads what is believed, every `FRESH` seconds; without the database, what this process knows stands."""
        with self._lock:
            if time.monotonic() < self._until:
                return
            try:
                with self._store.reading():
                    self._database = Skew(reading.wall - self._store.now(), DATABASE)
                    self._trust = self._read(_all(self._store))
                    self._latest = _latest(self._store)
            except StoreUnavailable as error:
                log.debug("clock.unread", detail=error.detail)
            self._until = time.monotonic() + FRESH

    def _read(self, rows: Mapping[str, _Believed]) -> Trust:
        anchor = self._trust.anchor
        mine = rows.get(SETTING + anchor.boot_id)
        if mine is None:
            return Trust(anchor, max((one.last for one in rows.values()), default=0))
        return Trust(Reading(mine.wall, mine.boot, anchor.boot_id), mine.last)

    def _keep(self, reading: Reading, trust: Trust) -> None:
        self._trust = trust
        row = _Believed(trust.anchor.wall, trust.anchor.boot, trust.last)
        self._store.set_setting(SETTING + reading.boot_id, _encoded(row))


def _all(store: Store) -> dict[str, _Believed]:
    return {name: msgspec.json.decode(value, type=_Believed) for name, value in store.settings(SETTING).items()}


def _latest(store: Store) -> int:
    try:
        return int(store.setting(LATEST))
    except NotFound:
        return 0


def _encoded(row: _Believed) -> str:
    return msgspec.json.encode(row).decode()


def _tell(store: Store, journal: Journal, node: str, found: Skew) -> None:
    """The alarm, and its end: each an entry and a line of the log, when it is news."""
    was_wrong = any(row.action == "clock.wrong" for row in store.newest(f"clock:{node}"))
    if found.sound != was_wrong:
        return
    action = "clock.trusted" if found.sound else "clock.wrong"
    tell = log.warning if found.sound else log.critical
    tell(action, skew=found.seconds, against=found.against)
    with store.transaction():
        journal.append(_event(action, SYSTEM, node, found))


def _event(action: str, actor: Actor, node: str, found: Skew) -> Event:
    result = "ok" if action != "clock.wrong" else "failed"
    return Event(
        action, actor, f"clock:{node}", result=result, detail={"skew": found.seconds, "against": found.against}
    )
