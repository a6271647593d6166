"""Writes the reference parts of docs/ from the definitions: `python -m cli.reference`.

A page is prose by people with blocks between `<!-- reference: NAME -->` and `<!-- end -->`; a block is generated
and never edited. A test generates them again and compares, so that a page cannot lag behind the code.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from inspect import cleandoc
from pathlib import Path
from typing import get_args

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from acme_server.validation.causes import MEANINGS
from ca import errors
from ca.channels import CHANNELS
from ca.config import SECURITY_KEYS, Config, ProfileConfig
from ca.console import RoleConfig
from ca.destinations import TARGETS
from ca.journal.events import EVENTS
from ca.people import MEANING, ROLES, Right
from cli import main
from cli.config import Key, described
from cli.session import shared_options

DOCS = Path(__file__).parent.parent / "docs"
BLOCK = re.compile(r"(<!-- reference: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; a bar inside a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |\n" for line in lines)


# --- commands -----------------------------------------------------------------------------------


def commands() -> str:
    """Every command: what it does, its arguments and its own options."""
    return "\n".join(_command(name) for name in sorted(main.COMMANDS))


def _command(name: str) -> str:
    target, summary = main.COMMANDS[name]
    made = main.load(name.rsplit(maxsplit=1)[-1], target, summary)
    shared = {one.name for one in shared_options(changes=True)}
    context = click.Context(made, info_name=f"certwright {name}")
    arguments = " ".join(
        piece for one in made.params if isinstance(one, click.Argument) for piece in [_usage(one, context)]
    )
    rows = [_option(one, context) for one in made.params if isinstance(one, click.Option) and one.name not in shared]
    changes = "`--yes` `--dry-run`" if {"yes", "dry_run"} <= {one.name for one in made.params} else ""
    text = f"### `{' '.join(f'certwright {name} {arguments}'.split())}`\n{cleandoc(made.help or '')}\n"
    text += f"\nIt changes something: {changes}.\n" if changes else ""
    return text + ("\n" + table(("option", "meaning"), rows) if rows else "")


def _usage(argument: click.Argument, context: click.Context) -> str:
    return argument.make_metavar(context)


def _option(option: click.Option, context: click.Context) -> tuple[str, str]:
    words, text = option.get_help_record(context) or ("", "")
    return f"`{words}`", " ".join(text.split())


# --- configuration ------------------------------------------------------------------------------


def configuration() -> str:
    """Every key: its type, its default, its meaning."""
    return _keys(Config)


def security() -> str:
    """The keys that the environment may not set in production mode."""
    return ", ".join(f"`{key}`" for key in SECURITY_KEYS)


def profile() -> str:
    """The keys of one profile."""
    return _keys(ProfileConfig)


def role() -> str:
    """The keys of one role."""
    return _keys(RoleConfig)


def rights() -> str:
    """Every right, and which of the built-in roles give it."""
    rows = [(f"`{one}`", MEANING[one], ", ".join(name for name in ROLES if one in ROLES[name])) for one in Right]
    return table(("right", "it lets somebody", "in the roles"), rows)


def kinds(models: Sequence[type[BaseModel]]) -> str:
    """The keys of each kind of a table by name."""
    return "\n".join(f"{cleandoc(one.__doc__ or '')}\n\n{_keys(one)}" for one in models)


def _keys(model: type[BaseModel]) -> str:
    rows = [(f"`{one.key}`", _kind(one.field), _default(one), one.meaning) for one in described(model)]
    return table(("key", "type", "default", "meaning"), rows)


def _default(one: Key) -> str:
    return "needed" if one.field.is_required() else f"`{json.dumps(one.default)}`"


def _kind(field: FieldInfo) -> str:
    if any("BeforeValidator" in type(one).__name__ for one in field.metadata):
        return "duration (seconds)"
    annotation = field.annotation
    if isinstance(annotation, type) and not get_args(annotation):
        return {"str": "text", "int": "number", "bool": "true or false", "Path": "path"}[annotation.__name__]
    shown = str(annotation).replace("pathlib.Path", "path").replace("typing.", "").replace("ca.people.Right", "rights")
    shown = re.sub(r"Annotated\[(\w+), \w+\(.*?\)\]", r"\1", shown)
    words = {"Literal": "one of", "str": "text", "list": "list of", "None": "nothing"}
    shown = shown.replace("dict[str, str]", "table of text").replace("dict[str, list[str]]", "table of lists")
    for word, plain in words.items():
        shown = re.sub(rf"\b{word}\b", plain, shown)
    return re.sub(r"\s+", " ", re.sub(r"[\[\]']", " ", shown)).strip().replace(" | ", " or ")


# --- errors and events --------------------------------------------------------------------------


def problems() -> str:
    """Every error of the family, by its code."""
    rows = [(f"`{one.code}`", one.exit_code, _first_sentence(one.__doc__)) for one in _family(errors.CAError)]
    return table(("code", "exit code", "meaning"), rows)


def _family(one: type[errors.CAError]) -> Iterator[type[errors.CAError]]:
    yield one
    for narrower in one.__subclasses__():
        if narrower.__module__ == errors.__name__:
            yield from _family(narrower)


def _first_sentence(text: str | None) -> str:
    return " ".join((text or "").split())


def events() -> str:
    """Every event of the journal."""
    return table(("event", "meaning"), [(f"`{name}`", EVENTS[name]) for name in sorted(EVENTS)])


def causes() -> str:
    """Why a challenge is not met, and what to do; words in braces are those of the single try."""
    rows = [
        (f"`{cause.value}`", f"`{one.error}`", one.happened, one.next_step)
        for cause, one in MEANINGS.items()
        if one.error
    ]
    return table(("cause", "type", "what happened", "next step"), rows)


# --- pages --------------------------------------------------------------------------------------

BLOCKS: Mapping[str, Callable[[], str]] = {
    "commands": commands,
    "configuration": configuration,
    "security": security,
    "profile": profile,
    "role": role,
    "rights": rights,
    "targets": partial(kinds, TARGETS),
    "channels": partial(kinds, CHANNELS),
    "errors": problems,
    "events": events,
    "causes": causes,
}


def renewed(page: str) -> str:
    """A page with every block written anew. Raises KeyError for a block that nobody writes."""
    return BLOCK.sub(lambda found: f"{found[1]}{BLOCKS[found[2]]().rstrip()}\n{found[3]}", page)


def pages() -> list[Path]:
    """The pages that hold a block."""
    return sorted(path for path in DOCS.glob("*.md") if BLOCK.search(path.read_text()))


def write() -> int:
    """Writes every page anew; answers how many changed."""
    changed = 0
    for path in pages():
        before = path.read_text()
        after = renewed(before)
        if after != before:
            path.write_text(after)
            changed += 1
    return changed


if __name__ == "__main__":
    sys.stdout.write(f"{write()} pages changed\n")
