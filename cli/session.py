"""What every command shares: the configuration, the form of the answer, and leave to change things.

A command is a function decorated with `@command()`; it gets the `Session` first. Nothing heavy is
imported here, so that `--help` answers at once.
"""

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


def operator() -> Actor:
    """The person at this command line: the login name of the process's user, and with sudo that of who called it."""
    name = pwd.getpwuid(os.getuid()).pw_name
    caller = os.environ.get("SUDO_USER", "") if os.getuid() == 0 else ""
    return Actor("operator", f"{caller} (sudo)" if caller else name)


def command(*, changes: bool = False) -> Callable[[Callable[..., Any]], click.Command]:
    """Makes a command with the shared options; `changes` adds --yes and --dry-run."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        made = click.command(context_settings={"help_option_names": ["-h", "--help"]})(click.pass_obj(function))
        made.params += shared_options(changes=changes)
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


def _flag(*words: str) -> click.Parameter:
    *names, text = words
    return click.Option(names, is_flag=True, expose_value=False, callback=_remember, help=text)


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value and parameter.name:
        setattr(context.ensure_object(Session), parameter.name, value)
