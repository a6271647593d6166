"""An error on the command line: what happened, why, and the next command to type. The one table of this face.

Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 denied by policy, 5 HSM, 6 waits for approval.
A traceback is for those who ask for one by CERTWRIGHT_DEBUG=1.
"""

import errno
import json
import os
import sys
import traceback
from dataclasses import dataclass

import click

from ca.errors import BadRequest, CAError, NotFound, RateLimited, Unavailable

FAILED = 1
INTERRUPTED = 130

SYSTEM_STEPS = {
    errno.ENOSPC: "Free some space on that disk and run the command again: nothing was left half-written.",
    errno.EDQUOT: "Raise the quota or free some space, and run the command again.",
    errno.EROFS: "Choose a place that can be written.",
    errno.EACCES: "Check the owner and mode of that path, or run as the user that owns it.",
    errno.EPERM: "Run as the user that owns it.",
    errno.ENOENT: "Check the path.",
    errno.EEXIST: "Choose another name: nothing is overwritten.",
    errno.EISDIR: "Name a file, not a folder.",
    errno.EADDRINUSE: "Stop what listens there, or choose another port.",
    errno.EMFILE: "Raise the limit of open files (ulimit -n).",
}


@dataclass(frozen=True)
class Problem:
    """One error as the reader gets it."""

    code: str
    detail: str
    next_step: str
    exit_code: int


def problem(error: BaseException) -> Problem:
    """Any exception as a Problem; what this program did not foresee is said to be its own fault."""
    if isinstance(error, CAError):
        return Problem(error.code, error.detail, error.next_step or _step(error), error.exit_code)
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else "certwright"
        return Problem("usage", error.format_message(), f"Run '{path} --help'.", error.exit_code)
    if isinstance(error, click.ClickException):
        return Problem("failed", error.format_message(), "", error.exit_code)
    if isinstance(error, OSError) and error.strerror:
        what = f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
        return Problem("system", what, SYSTEM_STEPS.get(error.errno or 0, ""), FAILED)
    return Problem(
        "unforeseen",
        f"Certwright failed in a way that it did not foresee ({type(error).__name__}: {error}).",
        "Run it again with CERTWRIGHT_DEBUG=1 and report what it prints.",
        FAILED,
    )


def _step(error: CAError) -> str:
    """The next step of an error that was raised where nobody knew of commands."""
    match error:
        case Unavailable() | RateLimited():
            return f"Try again in {error.retry_after} s, or run 'certwright doctor'."
        case NotFound():
            return "Look for it by 'list' of the same noun: 'certwright --help' names the nouns."
        case BadRequest():
            return "See the command's --help."
        case _:
            return "Run 'certwright doctor'."


def show(error: BaseException, *, as_json: bool) -> int:
    """Writes the problem to stderr and answers the exit code."""
    one = problem(error)
    if as_json:
        body = {"code": one.code, "detail": one.detail, "next_step": one.next_step, "exit_code": one.exit_code}
        click.echo(json.dumps({"error": body}), err=True)
    else:
        click.echo(f"{click.style('error', fg='red', bold=True)}: {one.detail}", err=True)
        if one.next_step:
            click.echo(f"{click.style('next', fg='cyan')}: {one.next_step}", err=True)
    if os.environ.get("CERTWRIGHT_DEBUG"):
        traceback.print_exception(error, file=sys.stderr)
    return one.exit_code
