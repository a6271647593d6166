"""What every command shares: the configuration, the form of the answer, and leave to change things.

A command is a function decorated with `@command()`; it gets the `Session` first. Nothing heavy is
imported here, so that `--help` answers at once.
"""

import hashlib
import os
import pwd
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ca.errors import BadRequest
from ca.records import Actor

if TYPE_CHECKING:
    from ca.authority import Authority
    from ca.config import Config


@dataclass
class Session:
    """One run of the command line; the shared options write into it."""

    config_file: Path | None = None
    json: bool = False
    quiet: bool = False
    yes: bool = False
    dry_run: bool = False
    emergency: str = ""

    @cached_property
    def config(self) -> "Config":
        """The configuration of --config, CERTWRIGHT_CONFIG or ./certwright.toml. Raises ConfigError."""
        from ca import config

        return config.load(self.config_file)

    @property
    def config_path(self) -> Path:
        """The file that `config` was read from, absolute: what child processes are told."""
        return Path(self.config_file or os.environ.get("CERTWRIGHT_CONFIG") or "certwright.toml").resolve()

    @contextmanager
    def authority(self) -> Iterator["Authority"]:
        """The front desk, with its log on stderr and its database closed at the end."""
        from ca import logs
        from ca.authority import open_authority

        logs.configure("cli", level="WARNING")
        authority = open_authority(self.config)
        try:
            yield authority
        finally:
            authority.store.close()

    def confirm(self, question: str) -> None:
        """Asks on a terminal; elsewhere --yes is demanded instead. Returns only with leave to go on."""
        if self.yes:
            return
        if not sys.stdin.isatty():
            raise BadRequest(
                f"{question} There is no terminal to ask at.", next_step="Add --yes when you mean it, or --dry-run."
            )
        click.confirm(question, abort=True)

    def demand_second(self, authority: "Authority", **found: object) -> None:
        """Returns when this command needs no second person, or has one: see `ca.authority.held`.

        What was `found` belongs to what is approved. Raises `ApprovalNeeded`.
        """
        from ca.authority import held

        context = click.get_current_context()
        held.demand(authority, {**_spelled(context), **found}, operator(), self.emergency)


def operator() -> Actor:
    """The person at this command line: the login name of the process's user, and with sudo that of who called it."""
    name = pwd.getpwuid(os.getuid()).pw_name
    caller = os.environ.get("SUDO_USER", "") if os.getuid() == 0 else ""
    return Actor("operator", f"{caller} (sudo)" if caller else name)


def _spelled(context: click.Context) -> dict[str, object]:
    """The command as it was typed, with the SHA-256 of each file that it names."""
    given = {name: _plain(value) for name, value in context.params.items()}
    words = [word for value in given.values() for word in (value if isinstance(value, list) else [value])]
    files = {str(word): _sha256(Path(str(word))) for word in words if Path(str(word)).is_file()}
    return {"command": context.command_path.partition(" ")[2], "arguments": given, "files": files}


def _plain(value: object) -> object:
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return value if isinstance(value, bool | int | None) else str(value)


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def command(*, changes: bool = False, eyes: bool = False) -> Callable[[Callable[..., Any]], click.Command]:
    """Makes a command with the shared options; `changes` adds --yes and --dry-run, `eyes` --emergency."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        made = click.command(context_settings={"help_option_names": ["-h", "--help"]})(click.pass_obj(function))
        made.params += shared_options(changes=changes)
        if eyes:
            made.params.append(_emergency())
        return made

    return decorate


def shared_options(*, changes: bool) -> list[click.Parameter]:
    """New option objects each time: click keeps state in none, but tests may."""
    options = [config_option(), _flag("--json", "Answer in JSON."), _flag("-q", "--quiet", "Say only what fails.")]
    if changes:
        options += [
            _flag("-y", "--yes", "Do not ask."),
            _flag("-n", "--dry-run", "Say what would be done, and do nothing."),
        ]
    return options


def config_option() -> click.Parameter:
    """`--config FILE`, which may stand before or after the command."""
    return click.Option(
        ["--config", "config_file"],
        type=click.Path(path_type=Path),
        metavar="FILE",
        expose_value=False,
        callback=_remember,
        help="The configuration (default: CERTWRIGHT_CONFIG, then ./certwright.toml).",
    )


def _emergency() -> click.Parameter:
    return click.Option(
        ["--emergency"],
        metavar="WHY",
        expose_value=False,
        callback=_remember,
        help="Where it would wait for a second person: do it at once, and be reviewed.",
    )


def _flag(*words: str) -> click.Parameter:
    *names, text = words
    return click.Option(names, is_flag=True, expose_value=False, callback=_remember, help=text)


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value and parameter.name:
        setattr(context.ensure_object(Session), parameter.name, value)
