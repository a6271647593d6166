"""The signer's process: wires its parts, runs until SIGTERM, ends itself when the token hangs."""

import ctypes
import fcntl
import os
import resource
import sys
from pathlib import Path
from typing import NoReturn

import structlog

from ca import logs
from ca.clock import Clock, system_clock, system_reading
from ca.config import Config
from ca.errors import Conflict, HSMUnavailable
from ca.keys.module import Module
from ca.keys.pin import RefusedPin, read_pin
from ca.keys.signer.book import Book
from ca.keys.signer.calls import Calls
from ca.keys.signer.custody import Custody
from ca.keys.signer.desk import Desk, Limits
from ca.keys.signer.doors import Doors
from ca.keys.signer.guard import demand_safe_surroundings
from ca.keys.signer.lanes import Lanes
from ca.keys.signer.ledger import Ledger
from ca.keys.signer.peers import Peers, table
from ca.keys.signer.pins import Pins
from ca.keys.signer.rates import configured
from ca.keys.signer.tally import Tally
from ca.keys.signer.wallclock import Guard, Unguarded
from ca.keys.token import Token
from ca.signals import told_to_end

log = structlog.get_logger()

_PR_SET_DUMPABLE = 4
_WATCH_SECONDS = 1.0
# A process that was stopped for a while finds its calls overdue when it goes on: once is not enough.
_LOOKS = 2
_EXIT_STUCK = 75


def run(config: Config, clock: Clock = system_clock) -> None:
    """Serves until SIGTERM or SIGINT. Raises `CAError` when it cannot even listen, or may not (`guard`, `Pins`).

    A missing module, a missing token or a refused PIN does not end it: it listens, says so in its health,
    and recovers by itself as soon as it can.
    """
    logs.configure("signer")
    _forbid_dumps()
    demand_safe_surroundings(config)
    state = config.path(config.signer.state_dir)
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = _only_signer(state)
    pins = Pins(state / "keys.json", demo=config.mode == "demo")
    lanes = Lanes(config.hsm.sessions, config.signer.queue)
    custody = _custody(config, state, pins)
    limits = _limits(config)
    ledger = Ledger(_ledger_folder(state, pins))
    guard = _guard(state, ledger, clock)
    tally = Tally(ledger, guard.best)
    desk = Desk(custody, pins, lanes, Book(ledger, tally, guard.best), limits, guard)
    doors = Doors(config.path(config.signer.socket), desk, Peers(table(config)))
    custody.start()
    tally.start()
    doors.start()
    log.info("signer.started", socket=str(config.path(config.signer.socket)), keys=len(pins.all()))
    _until_told(custody.calls)
    doors.stop()
    tally.stop()
    ledger.close()
    custody.stop()
    os.close(lock)
    log.info("signer.stopped")


def _limits(config: Config) -> Limits:
    signer = config.signer
    return Limits(float(signer.timeout), signer.responder_days, signer.longest_life, configured(signer.rates))


def _ledger_folder(state: Path, pins: Pins) -> Path:
    """The ledger's folder. It is made before the first key, and never again: a signer with keys has had one."""
    folder = state / "ledger"
    if not pins.all():
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _guard(state: Path, ledger: Ledger, clock: Clock) -> Guard:
    """The machine's clock is watched; one that is handed in is not."""
    file = state / "clock.json"
    return Guard(system_reading, file, ledger) if clock is system_clock else Unguarded(clock, file, ledger)


def _custody(config: Config, state: Path, pins: Pins) -> Custody:
    return Custody(
        lambda pin: open_token(config, pin),
        lambda: _hidden(read_pin(config.hsm.pin_source, config.path("."))),
        RefusedPin(state / "pin-refused.json"),
        pins,
    )


def open_token(config: Config, pin: str) -> Token:
    """The configured token, with the module started anew. Raises `HSMUnavailable`, `PinRefused`."""
    module = config.hsm.module or os.environ.get("CERTWRIGHT_PKCS11_MODULE", "")
    Module.load(module, config.hsm.environment).restart()
    # One session more than there are turns: the watch probes beside them.
    token = Token.open(
        module, config.hsm.token_label, pin, environment=config.hsm.environment, sessions=config.hsm.sessions + 1
    )
    if token.info.software and config.mode == "production" and not config.hsm.accept_software_token:
        token.close()
        raise HSMUnavailable(
            f"This is a {token.info}, and production mode wants hardware.",
            next_step="Use a hardware token, or set hsm.accept_software_token and know why.",
        )
    return token


def _hidden(pin: str) -> str:
    """The PIN, which from now on no log line shows."""
    logs.hide(pin)
    return pin


def _until_told(calls: Calls) -> None:
    stop = told_to_end()
    overdue = 0
    while not stop.wait(_WATCH_SECONDS):
        overdue = overdue + 1 if calls.overdue() else 0
        if overdue == _LOOKS:
            _end_stuck(calls.overdue())


def _end_stuck(seconds: float) -> NoReturn:
    """A thread inside the module cannot be taken back; the process can, and its supervisor starts another."""
    log.critical("token.stuck", seconds=round(seconds))
    sys.stderr.flush()
    os._exit(_EXIT_STUCK)


def _only_signer(state: Path) -> int:
    """Holds the state folder for this process. Raises `Conflict` when another signer does."""
    descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise Conflict(f"Another signer runs on {state}.", next_step="Stop it, or set signer.state_dir.") from None
    return descriptor


def _forbid_dumps() -> None:
    """No core file and no tracer of the same user: the PIN is in this memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
