"""Everything `./certwright test` runs once its environment stands: the rules first, the tests last.

All steps run, whatever the ones before say; the exit code is 0 only if all passed. pytest comes last so that the output
ends in its summary. `--fast` leaves out the tests marked `slow`; every other argument goes to pytest.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

MEMORY = Path("/dev/shm")
ROOM = 4 << 30  # octets; a whole run leaves about 1 GiB

# Files that take longest, longest first, below `tests`: the rest of a run would wait for one of them begun late, and
# xdist's own order, by number of tests, begins those of few long tests last. Measure anew by `--durations=0`.
LONGEST = (
    "cli/test_demo.py",
    "crash/test_storm.py",
    "interop/test_hsm_bad_days.py",
    "web/test_ui_browser.py",
    "ca/authority/test_reconcile.py",
    "ca/authority/test_rotation.py",
)

RULES = {
    "ruff check": ["ruff", "check", "--quiet"],
    "ruff format": ["ruff", "format", "--check", "--quiet"],
    "mypy": ["mypy", "--no-error-summary"],
    "lint-imports": ["lint-imports", "--no-cache"],
}


def main(arguments: list[str]) -> int:
    failed = [name for name, command in RULES.items() if not passes(name, command)]
    if failed:
        print(f"\ncertwright test: FAILED: {', '.join(failed)} (see above)", flush=True)
    command: list[str | Path] = [BIN / "python", "-m", "pytest", *pytest_arguments(arguments)]
    with scratch() as folder:
        tests = subprocess.run(command, cwd=CHECKOUT, env={**os.environ, **folder})
    return tests.returncode or (1 if failed else 0)


def passes(name: str, command: list[str]) -> bool:
    """Quiet when it passes; all it said when it does not."""
    done = subprocess.run(
        [BIN / command[0], *command[1:]], cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    print(f"certwright test: {name}: {'ok' if done.returncode == 0 else 'FAILED'}", flush=True)
    if done.returncode:
        print(done.stdout, flush=True)
    return done.returncode == 0


def pytest_arguments(arguments: list[str]) -> list[str]:
    """Two workers, a file at a time so that its servers start once, in the order of `turn`; one if somebody looks on
    (`-s`, `--pdb`).
    """
    chosen = [argument for argument in arguments if argument != "--fast"]
    fast = ["-m", "not slow"] if "--fast" in arguments else []
    alone = (os.cpu_count() or 1) < 2 or any(a in ("-s", "--pdb") or a.startswith("-n") for a in chosen)
    return [*fast, *([] if alone else ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]), *chosen]


def turn(file: Path, tests: int) -> tuple[int, int]:
    """By what files are sorted for the workers: those of `LONGEST` as they stand there, then those of most `tests`."""
    name = file.relative_to(CHECKOUT / "tests").as_posix()
    return LONGEST.index(name) if name in LONGEST else len(LONGEST), -tests


@contextmanager
def scratch() -> Iterator[dict[str, str]]:
    """A temporary folder in memory, where there is one with room: waiting for disks is half of the tests' time.

    Whoever sets TMPDIR has chosen, for one to look at what a failed test left.
    """
    if "TMPDIR" in os.environ or not has_room(MEMORY):
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="cw-", dir=MEMORY, ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o1777)  # as /tmp: some tests run processes as other users
        yield {"TMPDIR": folder}


def has_room(folder: Path) -> bool:
    """For all that the tests leave, and for the libraries that they build there and load."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize >= ROOM and not disk.f_flag & os.ST_NOEXEC and os.access(folder, os.W_OK)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
