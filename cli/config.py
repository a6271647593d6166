"""`certwright config`: is the file right, what holds, and why."""

import json
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from cli.output import answer, table
from cli.session import Session, command


@dataclass(frozen=True)
class Setting:
    """One value of the tree; `origin` is file, environment or default."""

    key: str
    value: object
    origin: str


@command()
def check(session: Session) -> None:
    """Reads the configuration and the profiles as a start would, and names every wrong key."""
    from ca.profiles import compile_all

    profiles = compile_all(session.config)
    report = {"file": str(session.config_path), "digest": session.config.digest(), "profiles": sorted(profiles)}
    answer(session, report, f"{session.config_path} is right ({session.config.mode} mode).")


@command()
@click.option("--origin", is_flag=True, help="Say where each value comes from.")
def show(session: Session, origin: bool) -> None:
    """Shows each value that holds. Passwords in URLs are left out."""
    settings = list(effective(session))
    value = {one.key: {"value": one.value, "origin": one.origin} if origin else one.value for one in settings}
    head = ("key", "value", "origin") if origin else ("key", "value")
    rows = [(one.key, json.dumps(one.value), one.origin)[: len(head)] for one in settings]
    answer(session, value, lambda: table(head, rows, ""))


def effective(session: Session) -> Iterator[Setting]:
    """The whole tree, leaf by leaf, in the order of its definition."""
    values = session.config.model_dump(mode="json")
    written = tomllib.loads(session.config_path.read_text())
    for key, value in leaves(values):
        yield Setting(key, _without_password(value), _origin(key, written))


def leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Dotted keys; an empty table is a leaf of its own."""
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _origin(key: str, written: dict[str, Any]) -> str:
    parts = key.split(".")
    names = {"CERTWRIGHT_" + "__".join(parts[:depth]).upper() for depth in range(1, len(parts) + 1)}
    if names & {name.upper() for name in os.environ}:
        return "environment"
    return "file" if key in dict(leaves(written)) else "default"


def _without_password(value: object) -> object:
    return re.sub(r"(://[^:/@]+):[^@]+@", r"\1:…@", value) if isinstance(value, str) else value
