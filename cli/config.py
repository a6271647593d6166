"""`certwright config`: is the file right, what holds, and why."""

import json
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from cli.output import answer, table
from cli.session import Session, command, operator

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo


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


@command(changes=True, eyes=True)
def approve(session: Session) -> None:
    """Has what the file permits more than was approved looked at by a second person (`approvals.policy`)."""
    from ca.authority import held, policies
    from ca.weakening import legible

    with session.authority() as authority:
        changes = policies.proposal(authority)["changes"]
        rows = [(one["key"], *(legible(one[which], one["key"]) for which in ("approved", "wanted"))) for one in changes]
        shown = table(
            ("key", "approved", "wanted"), rows, f"Nothing in {session.config_path} waits for a second person."
        )
        if session.dry_run or not changes:
            return answer(session, {"dry_run": session.dry_run, "changes": changes}, shown)
        session.confirm(f"{shown}\nAsk a second person to approve this?")
        outcome = held.demand_policy(authority, operator(), session.emergency)
    return answer(session, {"changes": changes, "outcome": outcome}, outcome)


@command()
@click.option("--origin", is_flag=True, help="Say where each value comes from.")
@click.option("--defaults", is_flag=True, help="Show every key with its default and meaning; needs no file.")
def show(session: Session, origin: bool, defaults: bool) -> None:
    """Shows each value that holds. Passwords in URLs are left out."""
    if defaults:
        return _show_defaults(session)
    settings = list(effective(session))
    value = {one.key: {"value": one.value, "origin": one.origin} if origin else one.value for one in settings}
    head = ("key", "value", "origin") if origin else ("key", "value")
    rows = [(one.key, json.dumps(one.value), one.origin)[: len(head)] for one in settings]
    answer(session, value, lambda: table(head, rows, ""))
    return None


def _show_defaults(session: Session) -> None:
    from ca.config import Config

    known = list(described(Config))
    value = {one.key: {"default": one.default, "meaning": one.meaning} for one in known}
    rows = [(one.key, json.dumps(one.default), one.meaning) for one in known]
    answer(session, value, lambda: table(("key", "default", "meaning"), rows, ""))


@dataclass(frozen=True)
class Key:
    """One key of the configuration as its definition describes it."""

    key: str
    field: "FieldInfo"
    default: Any
    meaning: str


def described(model: "type[BaseModel]", prefix: str = "") -> Iterator[Key]:
    """Every key below a model, in the order of its definition, without the tables by name."""
    defaults = model.model_construct().model_dump(mode="json")
    for name, field in model.model_fields.items():
        narrower = getattr(field.annotation, "model_fields", None)
        if narrower is not None and isinstance(field.annotation, type):
            yield from described(field.annotation, f"{prefix}{name}.")
        elif prefix + name not in ("profiles", "targets", "channels", "roles"):
            yield Key(prefix + name, field, defaults.get(name), field.description or "")


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
