"""Verifying the journal at somebody's wish: in the background, since a long one takes minutes, with its outcome kept.

One at a time for each process; whoever asks meanwhile waits for the same one.
"""

import threading
from dataclasses import dataclass

import msgspec

from ca.authority.desk import Desk
from ca.authority.trail import verify_journal
from ca.clock import rfc3339
from ca.errors import CAError, NotFound
from ca.records import Actor

_SETTING = "journal.verified"
_running = threading.Lock()

PATIENCE = 2.0
"""Seconds that the asker waits: a small journal is verified by then."""


@dataclass(frozen=True, slots=True)
class Verification:
    """The last one: `level` is good or bad, or warn while it runs; `at` 0 before the first."""

    at: int
    by: str
    level: str
    says: str
    next_step: str = ""


def start(desk: Desk, actor: Actor) -> None:
    """Begins one, unless one runs, and waits a moment for it."""
    if not _running.acquire(blocking=False):
        return
    thread = threading.Thread(target=_run, args=(desk, actor), name="verification", daemon=True)
    thread.start()
    thread.join(PATIENCE)


def last(desk: Desk) -> Verification:
    """How the last one ended, or that one runs in this process."""
    if _running.locked():
        return Verification(desk.clock(), "", "warn", "It is being verified now.", "Load the page again in a moment.")
    try:
        return msgspec.json.decode(desk.store.setting(_SETTING), type=Verification)
    except NotFound:
        return Verification(0, "", "warn", "Nobody has verified it here yet.")


def _run(desk: Desk, actor: Actor) -> None:
    try:
        found = _outcome(desk, actor)
        desk.store.set_setting(_SETTING, msgspec.json.encode(found).decode())
    finally:
        _running.release()


def _outcome(desk: Desk, actor: Actor) -> Verification:
    try:
        report = verify_journal(desk)
    except CAError as error:
        return Verification(desk.clock(), str(actor), "bad", error.detail, error.next_step)
    signed = f", signed at {rfc3339(report.signed_at)}" if report.signed_at else ""
    says = f"Whole: {report.size} entries, {report.heads} signed heads{signed}; head {report.head[:16]}…"
    return Verification(desk.clock(), str(actor), "good", says)
