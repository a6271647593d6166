"""A launcher to call into, and small checkouts to start it in as a user would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]

# What the small checkout's command does: say what it was given, fail when told to.
PROGRAM = """\
import os, sys
from importlib.metadata import PackageNotFoundError, version
print("arguments", sys.argv[1:])
print("module", os.environ.get("CERTWRIGHT_PKCS11_MODULE"))
try:
    print("version", version("certwright"))
except PackageNotFoundError:
    print("version unknown")
sys.exit(7 if "fail" in sys.argv else 0)
"""


def load(path: Path, name: str) -> ModuleType:
    loader = SourceFileLoader(name, str(path))
    spec = spec_from_loader(name, loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def lock_of(*names: str) -> str:
    """Those packages' pins and hashes, taken from the real lock."""
    blocks = (CHECKOUT / "requirements-test.lock").read_text().replace(" \\\n", " \\\t").splitlines()
    return "".join(block.replace(" \\\t", " \\\n") + "\n" for block in blocks if block.split("==")[0] in names)


class SmallCheckout:
    """The real launcher beside locks of one package each and a command of four lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.venv = path / ".certwright" / "venv"
        self.environ = {
            name: value for name, value in os.environ.items() if not name.startswith(("CERTWRIGHT_", "PYTEST_"))
        }
        (path / "cli").mkdir(parents=True)
        (path / "tests").mkdir()
        shutil.copy(CHECKOUT / "certwright", path)
        shutil.copy(CHECKOUT / "requirements-uv.lock", path)
        shutil.copy(CHECKOUT / "pyproject.toml", path)
        (path / "requirements.lock").write_text(lock_of("iniconfig"))
        (path / "requirements-test.lock").write_text(lock_of("iniconfig", "pluggy"))
        (path / "cli" / "__init__.py").touch()
        (path / "cli" / "main.py").write_text(PROGRAM)
        (path / "tests" / "suite.py").write_text(PROGRAM)

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(self.path / "certwright"), *arguments],
            env={**self.environ, **environ},
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments, **environ) as process:
            out, err = process.communicate(timeout=100)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for name in [name for name in os.environ if name.startswith("CERTWRIGHT_")]:
        monkeypatch.delenv(name)
    return load(CHECKOUT / "certwright", "certwright_launcher")


@pytest.fixture
def suite() -> ModuleType:
    return load(CHECKOUT / "tests" / "suite.py", "certwright_suite")


@pytest.fixture
def checkout(tmp_path: Path) -> SmallCheckout:
    return SmallCheckout(tmp_path / "checkout")
