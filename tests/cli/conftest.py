"""A CA made by the commands themselves, with its signer and status plane running: what commands are tried on."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import pytest

from ca.errors import HSMUnavailable
from ca.keys.client import SignerClient
from cli import main
from cli.place import Place, Ports
from cli.processes import SUPERVISOR
from tests.ports import free_port

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
CEREMONIES = (["ca", "init"], ["ca", "rotate"], ["ca", "ceremony"], ["ca", "cross-sign"], ["key", "provision"])


@pytest.fixture(name="eventually")
def eventually_fixture():
    """`eventually(what)`: what `what()` answers once that is true; AssertionError after `seconds`."""
    return eventually


def eventually(what, seconds: float = 30.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen")


@dataclass(frozen=True)
class Done:
    """What a command answered."""

    code: int
    stdout: str
    stderr: str


@dataclass
class Installation:
    """One installation and the command line over it."""

    place: Place
    https_port: int
    http_port: int
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        known = {name: value for name, value in os.environ.items() if not name.startswith("CERTWRIGHT_")}
        return {**known, "CERTWRIGHT_CONFIG": str(self.place.configuration), "CERTWRIGHT_PKCS11_MODULE": MODULE}

    def run(self, *words: str | Path, ok: int | None = 0) -> "Done":
        """One command as a user without a terminal types it; the exit code is compared with `ok`, unless that is None.

        It runs in this process, which saves a second of imports each time; ceremonies, which load a PKCS#11
        module, and whole processes get one of their own.
        """
        arguments = list(map(str, words))
        own_process = arguments[:2] in CEREMONIES or arguments[0] in ("serve", "demo")
        done = self._spawned(arguments) if own_process else self._called(arguments)
        assert "Traceback" not in done.stderr, done.stderr
        assert ok is None or done.code == ok, f"{words} ended with {done.code}:\n{done.stdout}{done.stderr}"
        return done

    def _spawned(self, arguments: list[str]) -> "Done":
        command = [sys.executable, "-m", "cli.main", *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120, input="")
        return Done(done.returncode, done.stdout, done.stderr)

    def _called(self, arguments: list[str]) -> "Done":
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environment, clear=True),
            mock.patch.object(sys, "stdin", io.StringIO()),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = main.run(arguments)
        return Done(code, out.getvalue(), err.getvalue())

    def json(self, *words: str | Path, ok: int | None = 0):
        """The same, and what it answered with --json."""
        return json.loads(self.run(*words, "--json", ok=ok).stdout)

    def start(self, kind: str) -> None:
        """Runs one process of the service; it dies with the tests."""
        environment = {**self.environment, SUPERVISOR: str(os.getpid())}
        command = [sys.executable, "-m", "cli.main", "serve", "--only", kind]
        with (self.place.path / f"{kind}.log").open("ab") as log:
            self.running[kind] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        if kind == "signer":
            eventually(self._signer_answers)

    def _signer_answers(self) -> bool:
        try:
            health = SignerClient(self.place.path / "state" / "signer.sock").health()
        except HSMUnavailable:
            return False
        return health.ok or health.pin_refused

    def stop(self, kind: str, number: signal.Signals = signal.SIGTERM) -> int:
        process = self.running.pop(kind)
        process.send_signal(number)
        return process.wait(20)

    def check(self, name: str) -> dict[str, str]:
        """One line of the doctor."""
        found = self.json("doctor", ok=None)["checks"]
        return next(one for one in found if one["name"] == name)


def make_installation(folder: Path) -> Installation:
    """Directory, token and configuration on free ports; no ceremony yet."""
    if not Path(MODULE).exists():
        pytest.skip("SoftHSM is not installed: apt-get install softhsm2")
    made = Installation(Place(folder / "ca"), free_port(), free_port())
    made.place.claim()
    made.place.prepare(Ports(made.https_port, made.http_port), MODULE)
    return made


@pytest.fixture
def blank(tmp_path: Path) -> Iterator[Installation]:
    """An installation before its ceremony."""
    made = make_installation(tmp_path)
    yield made
    for kind in list(made.running):
        made.stop(kind)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A CA with sample certificates, its signer and its status plane."""
    made = make_installation(tmp_path_factory.mktemp("cli"))
    made.start("signer")
    made.run("ca", "init", "--root-dir", made.place.root_token, "--yes")
    made.start("status")
    yield made
    for kind in list(made.running):
        made.stop(kind)
