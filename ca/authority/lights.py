"""The strip of lights: is the CA itself well? Each light looks at one thing, in a few reads, and never raises."""

from collections.abc import Callable
from dataclasses import dataclass

from ca.authority import backups, policies
from ca.authority.desk import Desk
from ca.authority.targets import MOMENT, standing
from ca.clock import rfc3339
from ca.errors import CAError, NotFound
from ca.profiles import certificate_period

DAY = 86400
LATE = 180
"""Seconds after which a scheduler that did nothing is called late."""


@dataclass(frozen=True, slots=True)
class Light:
    """One light: `level` is good, warn or bad; `detail` says what is seen, `next_step` what to do."""

    name: str
    level: str
    detail: str
    next_step: str = ""


class Warn(CAError):
    """It works, and should be seen to."""


def lights(desk: Desk) -> tuple[Light, ...]:
    """All of them, in the order in which one would ask."""
    return tuple(_look(name, look, desk) for name, look in LIGHTS.items())


def _look(name: str, look: Callable[[Desk], str], desk: Desk) -> Light:
    try:
        return Light(name, "good", look(desk))
    except Warn as warning:
        return Light(name, "warn", warning.detail, warning.next_step)
    except CAError as error:
        return Light(name, "bad", error.detail, error.next_step)


def _database(desk: Desk) -> str:
    with desk.store.reading():
        return f"{len(desk.store.issuers())} issuers"


def _hsm(desk: Desk) -> str:
    state = desk.signer.health()
    if not state.ok:
        raise CAError(state.detail, next_step="Run 'certwright doctor'.")
    return f"{state.keys} keys, {'software token' if state.software else 'hardware'}"


def _scheduler(desk: Desk) -> str:
    """By what it did last, whichever node it ran on."""
    ran = max((one.ended for one in desk.store.runs()), default=0)
    if not ran:
        raise Warn("no job ran yet", next_step="Start 'certwright serve'.")
    if ran < desk.clock() - LATE:
        raise CAError(f"no job since {rfc3339(ran)}", next_step="Start 'certwright serve', and see its log.")
    failed = [one.name for one in desk.store.runs() if not one.ok]
    if failed:
        raise Warn(f"{failed[0]} failed", next_step="Run 'certwright doctor'.")
    return "every job ran"


def _crl(desk: Desk) -> str:
    """The shard that ends first: half of its life is the time to worry (INC-03)."""
    issuer = desk.active_issuer()
    states = [one for ca in desk.serving() for one in desk.store.shards(ca.id) if not one.ended_at]
    if issuer.id not in {one.issuer for one in states}:
        raise CAError(f"{issuer.id} has no CRL", next_step="Run 'certwright crl publish'.")
    first = min(states, key=lambda one: one.next_update)
    left, life = first.next_update - desk.clock(), first.next_update - first.this_update
    if left <= 0:
        raise CAError(f"shard {first.shard:04x} of {first.issuer} has ended", next_step="Run 'certwright crl publish'.")
    if left < life // 3:
        raise Warn(f"next one due, {left // 3600} h left", next_step="Start the scheduler, and see its log.")
    return f"good for {left // 3600} h"


def _ocsp(desk: Desk) -> str:
    """A responder that is valid, and nothing waiting for an answer for long."""
    responder = desk.responder(desk.active_issuer().id)
    late = desk.store.count_late(desk.clock() - LATE, 1000)
    if late:
        count = f"{late}{'+' if late == 1000 else ''}"
        raise Warn(f"{count} answers are late", next_step="Start the scheduler, and see its log.")
    return f"responder for {(responder.not_after - desk.clock()) // DAY} days"


def _journal(desk: Desk) -> str:
    waiting = desk.store.backlog()
    if waiting.count and waiting.oldest < desk.clock() - LATE:
        raise Warn(f"{waiting.count} entries not chained", next_step="Start the scheduler, and see its log.")
    try:
        head = desk.store.last_head()
    except NotFound:
        raise Warn("no head is signed yet", next_step="Start the scheduler.") from None
    return f"{head.size} entries signed"


def _targets(desk: Desk) -> str:
    """Each has what is published, or has lacked something for a moment only."""
    found = standing(desk)
    late = [one.state.name for one in found if one.state.late(desk.clock()) > MOMENT]
    if late:
        raise Warn(f"{', '.join(late[:3])} behind", next_step="See 'certwright status targets'.")
    return f"{len(found)} targets" if found else "none but the publication folder"


def _eyes(desk: Desk) -> str:
    """What somebody did alone in an emergency, until another has reviewed it."""
    alone = [one for one in desk.store.open_proposals(desk.clock()) if one.state == "emergency"]
    if alone:
        count = f"{len(alone)} deed{'s' if len(alone) > 1 else ''}"
        raise Warn(f"{count} done alone in an emergency", next_step="Have a second person review it: see Approvals.")
    return "nothing done alone waits for a review"


def policy(desk: Desk) -> str:
    """What of the file permits more than was approved."""
    waits = policies.waiting(desk)
    if waits:
        more = f" and {len(waits) - 1} more" if len(waits) > 1 else ""
        raise Warn(f"{waits[0].key}{more} waits for approval", next_step="Run 'certwright config approve'.")
    if desk.weaker:
        raise Warn("approved, and not in force yet", next_step="Restart Certwright.")
    return "as it was approved" if desk.config.approvals.policy else "as the file says"


def _backup(desk: Desk) -> str:
    """How old the last one is; a demo needs none."""
    at, now = backups.last(desk), desk.clock()
    if not at and desk.config.mode == "demo":
        return "none, and a demo needs none"
    if not at:
        raise Warn("none of the records", next_step="Run 'certwright backup', each day.")
    if at + desk.config.backup.max_age < now:
        raise Warn(f"the last is {(now - at) // DAY} days old", next_step="Run 'certwright backup', each day.")
    return f"{(now - at) // 3600} h old"


def _authorities(desk: Desk) -> str:
    """The active CA certificate that ends first."""
    active = [one for one in desk.store.issuers() if one.state == "active"]
    if not active:
        raise CAError("there is no active CA", next_step="Run 'certwright ca init'.")
    left, name = min((certificate_period(one.certificate).not_after - desk.clock(), one.id) for one in active)
    if left <= 0:
        raise CAError(f"{name} has ended", next_step="Make its next generation.")
    if left < 30 * DAY and desk.config.mode == "production":
        raise Warn(f"{name} ends in {left // DAY} days", next_step="Make its next generation.")
    return f"{name} ends first, in {left // DAY} days"


LIGHTS = {
    "HSM": _hsm,
    "Database": _database,
    "Scheduler": _scheduler,
    "CRLs": _crl,
    "OCSP": _ocsp,
    "Targets": _targets,
    "Journal": _journal,
    "CA certificates": _authorities,
    "Backup": _backup,
    "Four eyes": _eyes,
    "Policy": policy,
}
