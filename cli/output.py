"""How answers look: a table for people, JSON for programs, one place for both."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click

from cli.session import Session

COLOURS = {
    "ok": "green",
    "valid": "green",
    "active": "green",
    "warn": "yellow",
    "expired": "yellow",
    "fail": "red",
    "revoked": "red",
}


def answer(session: Session, value: Any, text: str | Callable[[], str]) -> None:
    """`value` as JSON with --json, nothing with --quiet, else `text` for people."""
    if session.json:
        click.echo(dump(value))
    elif not session.quiet:
        click.echo(text if isinstance(text, str) else text())


def dump(value: Any) -> str:
    """JSON as a program likes it, indented for those who look."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def stream(items: Iterable[Any]) -> None:
    """One JSON array, written as it comes: a list of a million certificates needs no memory."""
    between = "["
    for item in items:
        click.echo(between + "\n" + json.dumps(item, ensure_ascii=False), nl=False)
        between = ","
    click.echo("[]" if between == "[" else "\n]")


def table(head: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> str:
    """Columns in line under `head`; `empty` says the next step where there are no rows."""
    if not rows:
        return empty
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(head), *cells]) for i in range(len(head))]
    lines = [_line([click.style(one, bold=True) for one in head], list(head), widths)]
    lines += [_line([paint(cell) for cell in row], row, widths) for row in cells]
    return "\n".join(lines)


def _line(painted: list[str], plain: list[str], widths: list[int]) -> str:
    padded = (look + " " * (width - len(bare)) for look, bare, width in zip(painted, plain, widths, strict=True))
    return "  ".join(padded).rstrip()


def paint(word: str) -> str:
    """A status word in its colour; the word stays, colour alone says nothing."""
    colour = COLOURS.get(word)
    return click.style(word, fg=colour) if colour else word


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """`name  value` lines for one object."""
    known = [(name, str(value)) for name, value in pairs]
    width = max((len(name) for name, _ in known), default=0)
    return "\n".join(f"{click.style(name.ljust(width), bold=True)}  {paint(value)}" for name, value in known)
