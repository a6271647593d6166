"""`certwright audit`: read and verify the journal."""

import json
from collections.abc import Mapping
from typing import Any

import click

from ca.clock import rfc3339
from cli.output import answer, table
from cli.session import Session, command


@command()
@click.option("-n", "--lines", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many.")
def tail(session: Session, lines: int) -> None:
    """Shows the newest events, the newest last."""
    from ca import journal

    with session.authority() as authority:
        events = [_dated(event) for event in journal.tail(authority.store, lines)]
    head = ("at", "action", "actor", "object", "result", "reason")
    answer(session, events, lambda: table(head, [_row(event) for event in events], "There are no events yet."))


def _dated(event: Mapping[str, Any]) -> dict[str, Any]:
    """The entry as it is stored, with its time in RFC 3339 beside it."""
    return {"at": rfc3339(event["time"]), **event}


def _row(event: Mapping[str, Any]) -> tuple[str, ...]:
    actor = f"{event['actor']['kind']}:{event['actor']['id']}"
    return (event["at"], event["action"], actor, event["object"], event["result"], event["reason"])


@command()
def export(session: Session) -> None:
    """Writes every event in order, one JSON object a line."""
    with session.authority() as authority:
        for event in authority.export_journal():
            click.echo(json.dumps(_dated(event), ensure_ascii=False))


@command()
def verify(session: Session) -> None:
    """Recomputes the journal and checks its signed heads; exit code 0 when it is whole, 1 with the place when not."""
    with session.authority() as authority:
        report = authority.verify_journal()
    shape = {name: getattr(report, name) for name in report.__dataclass_fields__}
    answer(session, {"whole": True, **shape}, lambda: "whole: " + ", ".join(f"{k} {v}" for k, v in shape.items()))
