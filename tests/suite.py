"""Everything `./certwright test` runs once its environment stands: the rules first, the tests last.

All steps run, whatever the ones before say; the exit code is 0 only if all passed. pytest comes last so that the output
ends in its summary. `--fast` leaves out the tests marked `slow`; every other argument goes to pytest.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

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
    tests = subprocess.run([BIN / "python", "-m", "pytest", *pytest_arguments(arguments)], cwd=CHECKOUT)
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
    """Two workers, a file at a time so that its servers start once; one if somebody looks on (`-s`, `--pdb`)."""
    chosen = [argument for argument in arguments if argument != "--fast"]
    fast = ["-m", "not slow"] if "--fast" in arguments else []
    alone = (os.cpu_count() or 1) < 2 or any(a in ("-s", "--pdb") or a.startswith("-n") for a in chosen)
    return [*fast, *([] if alone else ["-n", "2", "--dist", "loadfile"]), *chosen]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
