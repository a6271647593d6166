"""Those that many can talk to know neither module nor PIN: what they load has no way to the token but the socket."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OPENERS = ("pkcs11", "ca.keys.module", "ca.keys.token", "ca.keys.pin", "ca.keys.signer")


@pytest.mark.parametrize("process", ["web.serve", "scheduler.__main__"])
def test_it_loads_nothing_that_opens_a_token(process: str) -> None:
    program = (
        f"import sys, {process}, ca.authority;"
        f"print(*[m for m in sys.modules if m.startswith({OPENERS!r})])"
    )  # fmt: skip
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
