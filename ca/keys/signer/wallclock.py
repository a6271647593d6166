"""The signer's guard on its own wall clock. It believes nobody: its ledger, its own file, and the machine's clocks.

`now` is a clock that raises instead of telling a wrong time, so that whatever asks it stops: no signature, no life
of a responder, no key destroyed. `best` tells the best known time, for what is written down meanwhile.
"""

from pathlib import Path
from threading import Lock

import msgspec
import structlog

from ca.clock import Clock, Look, Reading, Skew, Trust, believed, best, skew
from ca.errors import ClockWrong
from ca.keys.files import write_durably
from ca.keys.ledger import CLOCK, Entry
from ca.keys.signer.ledger import Ledger

log = structlog.get_logger()


class Guard:
    """Thread-safe. The file at `path` holds the reading that was believed in this boot, so that restarts notice too."""

    def __init__(self, look: Look, path: Path, ledger: Ledger) -> None:
        self._look = look
        self._path = path
        self._ledger = ledger
        self._lock = Lock()
        self._said = False
        self._anchor = _read(path) or Reading(0, 0, "")
        self.fault()

    def now(self) -> int:
        """The wall clock's time. Raises `ClockWrong` when it is more than five minutes off."""
        reading = self._look()
        self._judge(reading).demand()
        return reading.wall

    def best(self) -> int:
        """The wall clock's time, or while it is wrong the time as the machine counts it."""
        return best(self._look(), self._trust())

    def latest(self) -> int:
        """The wall clock's time, or the latest that was ever entered: what is published never goes back behind it."""
        return max(self.now(), self._ledger.latest())

    def fault(self) -> ClockWrong | None:
        """Why the clock is not believed; None while it is."""
        try:
            self.now()
        except ClockWrong as error:
            return error
        return None

    def accept(self, peer: int) -> None:
        """Believes the clock as it is from now on, and enters that an operator wished it. Raises `LedgerBroken`."""
        reading = self._look()
        self._ledger.record(
            Entry(0, reading.wall, "", CLOCK, peer, bytes(32), number=self._ledger.latest(), this_update=reading.boot)
        )
        log.warning("clock.accepted", wall=reading.wall, peer=peer)
        self._anchor_at(reading)

    def _judge(self, reading: Reading) -> Skew:
        trust = self._trust()
        found = skew(reading, trust)
        if found.sound != (not self._said):
            self._tell(found)
        if found.sound and believed(reading, trust).anchor != trust.anchor:
            self._anchor_at(reading)
        return found

    def _trust(self) -> Trust:
        return Trust(self._anchor, self._ledger.end().time)

    def _tell(self, found: Skew) -> None:
        self._said = not found.sound
        if found.sound:
            log.warning("clock.trusted", skew=found.seconds)
        else:
            log.critical("clock.wrong", skew=found.seconds, against=found.against)

    def _anchor_at(self, reading: Reading) -> None:
        """A file that cannot be written is no reason to stop: this process knows."""
        with self._lock:
            self._anchor = reading
            try:
                write_durably(self._path, msgspec.json.encode(reading))
            except OSError as error:
                log.warning("clock.unwritten", path=str(self._path), detail=error.strerror)


class Unguarded(Guard):
    """A clock that is handed in instead of the machine's: its owner answers for it."""

    def __init__(self, clock: Clock, path: Path, ledger: Ledger) -> None:
        super().__init__(lambda: Reading(clock(), 0, ""), path, ledger)

    def _judge(self, reading: Reading) -> Skew:
        return Skew(0, "")

    def best(self) -> int:
        """What it shows."""
        return self._look().wall


def _read(path: Path) -> Reading | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Reading)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        log.warning("clock.unread", path=str(path), detail=str(error))
        return None
