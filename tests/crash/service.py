"""The whole service as an operator runs it, in pieces that can be killed one by one."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests

from ca import config as configuration
from ca.config import Config
from cli.place import Place, Ports, default_module
from cli.probe import roots
from cli.processes import KINDS
from tests.conftest import Cluster
from tests.ports import free_port

REPOSITORY = Path(__file__).parents[2]

QUICK = {
    "CERTWRIGHT_CA__INTENT_TIMEOUT": "10s",
    "CERTWRIGHT_SCHEDULER__SWEEP": "1s",
    "CERTWRIGHT_SCHEDULER__OCSP": "1s",
    "CERTWRIGHT_SCHEDULER__CRL": "1s",
    "CERTWRIGHT_SCHEDULER__LEASE": "5s",
    "CERTWRIGHT_DATABASE__TIMEOUT": "5s",
}
"""What would otherwise take minutes to come to rest."""


@dataclass
class Service:
    """An installation and its supervisor. `cluster` is its PostgreSQL, if it has one."""

    place: Place
    https_port: int
    http_port: int
    environment: Mapping[str, str]
    cluster: Cluster | None = None
    supervisor: "subprocess.Popen[bytes] | None" = None
    killed: dict[str, int] = field(default_factory=dict)

    @property
    def config(self) -> Config:
        return configuration.load(self.place.configuration)

    @property
    def origin(self) -> str:
        return f"https://localhost:{self.https_port}"

    @property
    def status(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def victims(self) -> tuple[str, ...]:
        """Everything that can be killed."""
        return (*KINDS, "web worker", "supervisor", *(("postgresql",) if self.cluster else ()))

    # --- running it -----------------------------------------------------------------------------

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """A certwright command over it."""
        command = [sys.executable, "-P", "-m", "cli.main", *words, "--config", str(self.place.configuration)]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120)

    def start(self) -> None:
        """Starts the supervisor and waits for nothing."""
        command = [sys.executable, "-P", "-m", "cli.main", "serve", "--config", str(self.place.configuration)]
        with self.place.log.open("ab") as log:
            self.supervisor = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def keep(self) -> None:
        """Starts it again if it ended, as systemd would."""
        if self.supervisor is None or self.supervisor.poll() is not None:
            self.start()

    def stop(self) -> int:
        """Lets it end; answers its exit code."""
        assert self.supervisor is not None
        self.supervisor.terminate()
        try:
            return self.supervisor.wait(90)
        finally:
            self.supervisor = None

    def ready(self) -> bool:
        """Whether both planes say that they are."""
        try:
            for url in (self.origin, self.status):
                answer = self.session().get(f"{url}/ready", timeout=10)
                if answer.status_code != 200:
                    return False
        except requests.RequestException:
            return False
        return True

    def wait_until_ready(self, seconds: float = 90) -> None:
        """It may have ended since it was started: where its killed predecessor still held a port."""

        def is_ready() -> bool:
            self.keep()
            return self.ready()

        wait_for(is_ready, seconds, lambda: self.place.log.read_text()[-4000:])

    def session(self) -> requests.Session:
        """A client that trusts this CA's root and no environment."""
        made = requests.Session()
        made.trust_env = False
        made.verify = str(self.place.root)
        return made

    # --- killing it -----------------------------------------------------------------------------

    def kill(self, victim: str) -> None:
        """kill -9 as soon as it runs; what does not start again by itself is started again."""
        if victim == "postgresql":
            assert self.cluster is not None
            self.cluster.kill()
            self.cluster.start()
        else:
            os.kill(self._await(victim), signal.SIGKILL)
        self.killed[victim] = self.killed.get(victim, 0) + 1
        if victim == "supervisor":
            assert self.supervisor is not None
            self.supervisor.wait(10)
            self.start()

    def _await(self, victim: str) -> int:
        """Its process id, when it runs again after the last time."""
        found: list[int] = []

        def looked() -> bool:
            self.keep()
            found.append(self._pid(victim))
            return bool(found[-1])

        wait_for(looked, 60, lambda: f"{victim} does not come back")
        return found[-1]

    def _pid(self, victim: str) -> int:
        """Its process id; 0 while there is none."""
        assert self.supervisor is not None
        if victim == "supervisor":
            return self.supervisor.pid
        kind = "web" if victim == "web worker" else victim
        found = next((pid for pid in children(self.supervisor.pid) if f"--only\0{kind}\0" in command_line(pid)), 0)
        if victim != "web worker" or not found:
            return found
        workers = [pid for pid in children(found) if "resource_tracker" not in command_line(pid)]
        return random.choice(workers) if workers else 0


def children(pid: int) -> list[int]:
    """The processes that a process started and that still run."""
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def command_line(pid: int) -> str:
    """Its words, with a NUL behind each; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def wait_for(
    what: Callable[[], object], seconds: float, why: Callable[[], object] = lambda: "it did not happen"
) -> None:
    """Returns when `what()` is true; fails after so many seconds."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, why()
        time.sleep(0.2)


@contextmanager
def service(folder: Path, http01_port: int, cluster: Cluster | None = None) -> Iterator[Service]:
    """A new installation in that folder, on SQLite or on a fresh database of that PostgreSQL; running and ready."""
    place, https_port, http_port = Place(folder), free_port(), free_port()
    environment = {**os.environ, **QUICK, "CERTWRIGHT_ACME__VALIDATION__HTTP_PORT": str(http01_port)}
    if cluster:
        environment["CERTWRIGHT_DATABASE__URL"] = cluster.lend_to_writer()
    made = Service(place, https_port, http_port, environment, cluster)
    place.claim()
    place.prepare(Ports(https_port, http_port), default_module())
    init = made.command("ca", "init", "--root-dir", str(place.root_token), "--yes")
    assert init.returncode == 0, init.stderr
    place.root.write_text(roots(made.config))
    made.start()
    try:
        made.wait_until_ready()
        yield made
    finally:
        if made.supervisor is not None and made.supervisor.poll() is None:
            made.stop()
