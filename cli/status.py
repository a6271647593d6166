"""`certwright status`: what relying parties get, looked at from outside."""

from typing import TYPE_CHECKING

import click

from cli.output import answer, table
from cli.session import Session, command

if TYPE_CHECKING:
    from ca.authority.targets import Standing


@command()
def probe(session: Session) -> int:
    """Fetches every CRL and an OCSP answer over HTTP, as relying parties do, and verifies signatures and times.

    Exit code 1 when one cannot be had, does not verify, or is past half of its life without a successor.
    """
    from ca.clock import rfc3339

    with session.authority() as authority:
        found = authority.probe()
    rows = [
        {
            "status": "fail" if one.trouble else "ok",
            "url": one.url,
            "what": one.what,
            "used": round(one.used, 3),
            "next_update": rfc3339(one.next_update) if one.next_update else None,
            "trouble": one.trouble or None,
        }
        for one in found
    ]
    head = ("status", "what", "url", "used", "next_update", "trouble")
    cells = [[f"{row[name]:.0%}" if name == "used" else row[name] or "" for name in head] for row in rows]
    answer(session, rows, lambda: table(head, cells, "There is no issuer yet. Run 'certwright ca init'."))
    return 1 if any(one.trouble for one in found) else 0


@command()
def targets(session: Session) -> int:
    """Shows how far each publication target is, since when it lacks something, and what it last refused.

    Exit code 1 when one fails. A folder has a line for each node that writes it.
    """
    with session.authority() as authority:
        found, now = authority.targets(), authority.clock()
    rows = [_target(one, now) for one in found]
    head = ("status", "target", "kind", "seq", "missing", "late", "failures", "next_try", "trouble")
    cells = [["" if row[name] is None else row[name] for name in head] for row in rows]
    answer(session, rows, lambda: table(head, cells, "There is no target. See docs/status-plane.md."))
    return 1 if any(one.state.failures for one in found) else 0


def _target(one: "Standing", now: int) -> dict[str, object]:
    from ca.clock import rfc3339

    state = one.state
    return {
        "status": "fail" if state.failures else "warn" if one.missing else "ok",
        "target": state.name,
        "kind": one.target.kind,
        "seq": state.seq,
        "missing": one.missing,
        "late": state.late(now),
        "failures": state.failures,
        "next_try": rfc3339(state.due_at) if state.failures else None,
        "trouble": state.trouble or None,
    }


@command(changes=True)
@click.argument("target")
def resend(session: Session, target: str) -> None:
    """Has the scheduler send everything that is published to TARGET again: after what it held was lost."""
    with session.authority() as authority:
        if not session.dry_run:
            authority.resend(target)
    answer(session, {"target": target, "dry_run": session.dry_run}, f"The scheduler will send everything to {target}.")
