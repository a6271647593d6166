"""The command line's frame: lazy commands, help that answers at once, errors with exit codes and no traceback."""

import json
import resource
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from ca import errors
from cli import main, problems

HEAVY = ("peewee", "flask", "cryptography", "pydantic", "structlog", "asyncio", "pkcs11", "apscheduler")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli.main", *arguments]
    environment = {"PATH": "/usr/bin:/bin", **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)


@pytest.mark.parametrize("path", ["", *main.NOUNS, *main.COMMANDS])
def test_help_imports_nothing_heavy(path):
    """LIBRARIES §4: no command's help waits for peewee, Flask or cryptography."""
    script = (
        "import sys; from cli import main; main.run(sys.argv[1:] + ['--help']);"
        f"sys.exit(sorted(set({HEAVY}) & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script, *path.split()], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Usage: certwright" in done.stdout


def test_help_answers_at_once():
    """Measured as CPU time: on a busy machine the wall clock says little."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert run("--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(once() for _ in range(5)) < 0.15


def test_every_command_has_help_and_the_shared_options():
    for name, (target, summary) in main.COMMANDS.items():
        made = main.load(name.split()[-1], target, summary)
        options = {word for parameter in made.params for word in parameter.opts}
        assert {"--json", "--quiet", "--config"} <= options, name
        assert made.help, name
        assert summary.endswith("."), name


def test_every_noun_has_verbs():
    begun = {name.rpartition(" ")[0] for name in main.COMMANDS} - {""}
    assert begun | {name.split()[0] for name in begun} == set(main.NOUNS)


@pytest.mark.parametrize("noun", [noun for noun in main.NOUNS if noun in main.COMMANDS])
def test_a_noun_that_is_a_command_too_runs_without_a_verb(noun):
    """`certwright doctor` alone: a group shows its help then, unless it is told not to."""
    context = click.Context(main.root())
    command = main.root().get_command(context, noun)
    assert command.make_context(noun, [], parent=context).invoked_subcommand is None


def test_config_option_stands_before_or_after_the_command(tmp_path):
    for arguments in (["--config", "none.toml", "config", "show"], ["config", "show", "--config", "none.toml"]):
        done = run(*arguments)
        assert done.returncode == 2
        assert "There is no configuration at none.toml" in done.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.CAError("x"), 1),
        (errors.BadRequest("x"), 2),
        (errors.ConfigError("x"), 2),
        (errors.NotFound("x"), 3),
        (errors.PolicyDenied("x"), 4),
        (errors.HSMUnavailable("x"), 5),
        (errors.PinRefused("x"), 5),
        (errors.StoreUnavailable("x"), 1),
        (OSError(28, "No space left on device", "/data/x"), 1),
        (click.UsageError("x"), 2),
        (RuntimeError("x"), 1),
    ],
)
def test_exit_codes(error, code, capsys):
    assert problems.show(error, as_json=False) == code
    told = capsys.readouterr().err
    assert "error:" in told
    assert "next:" in told or isinstance(error, OSError)


def test_full_disk_says_what_to_do():
    one = problems.problem(OSError(28, "No space left on device", "/data/x"))
    assert "/data/x" in one.detail
    assert "space" in one.next_step


def test_error_as_json_is_one_object():
    done = run("config", "show", "--json")
    problem = json.loads(done.stderr)["error"]
    assert problem["code"] == "bad-configuration"
    assert problem["exit_code"] == done.returncode == 2
    assert problem["next_step"]


def test_usage_error_names_the_help():
    done = run("db", "migrat")
    assert done.returncode == 2
    assert "certwright db --help" in done.stderr
    assert "Traceback" not in done.stderr


def test_unforeseen_error_has_no_traceback_unless_asked_for(monkeypatch, capsys):
    @click.command()
    def broken() -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(main, "root", lambda: broken)
    assert main.run([]) == 1
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setenv("CERTWRIGHT_DEBUG", "1")
    assert main.run([]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_interrupt_is_quiet(monkeypatch, capsys):
    @click.command()
    def stopped() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "root", lambda: stopped)
    assert main.run([]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_no_colour_without_a_terminal_or_with_no_color():
    assert "\x1b" not in run("db", "nothing").stderr
    assert "\x1b" not in run("db", "nothing", NO_COLOR="1", FORCE_COLOR="1").stderr


def test_completion_knows_the_verbs():
    done = run(_CERTWRIGHT_COMPLETE="bash_complete", COMP_WORDS="certwright db ", COMP_CWORD="2")
    assert {"plain,migrate", "plain,status"} <= set(done.stdout.split())


def test_version():
    done = run("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("certwright 0.")


def test_confirmation_is_refused_without_a_terminal():
    from cli.session import Session

    with CliRunner().isolation(), pytest.raises(errors.BadRequest) as refused:
        Session().confirm("Revoke it?")
    assert "--yes" in refused.value.next_step
    Session(yes=True).confirm("Revoke it?")
