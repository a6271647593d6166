"""The supervisor of `certwright serve`: five children, started in order, restarted when they die, drained in order.

It applies migrations before any child starts, loads neither PIN nor token, and serves nothing itself. Children
die with it, even when it is killed; a child that dies is started again after a pause that doubles up to
LONGEST. A child that ends with exit code 2 (its configuration cannot be used) ends the service.
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from ca import logs, store
from ca.config import Config
from ca.errors import StoreUnavailable
from cli.privileges import demand_root, dropped, is_roots_affair, prepare_places
from cli.probe import doors
from cli.processes import CERTWRIGHT, KINDS, PORT_PATIENCE, SUPERVISOR, demand_free

DRAIN = ("web", "fetcher", "scheduler", "status", "signer")
"""No new work first, the key last: nobody is left alone with half of a deed."""

GRACE = 15.0
"""Seconds that a child gets to end before it is killed."""

FIRST, LONGEST, STEADY = 0.5, 30.0, 60.0
"""Seconds: the pause before a restart, its bound, and the age at which a child counts as steady again."""

LONGEST_OF = {"signer": 2.0}
"""The bound of those for whom everybody waits: an HSM that crashes its module and mends is used again soon."""

PATIENCE = 10.0
"""Seconds of waiting for readiness before something is said about it."""

USAGE = 2


@dataclass(frozen=True)
class Told:
    """Who wants to know: `ready` is called once, `waiting` with what is missing, every PATIENCE seconds until then."""

    ready: Callable[[], None] = lambda: None
    waiting: Callable[[list[str]], None] = lambda missing: None


@dataclass
class Child:
    """One supervised process, in a session of its own so that Ctrl-C reaches the supervisor alone."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    process: asyncio.subprocess.Process | None = None

    async def keep(self) -> int:
        """Keeps it running until `stop`; answers early only with an exit code that no restart can mend."""
        pause = FIRST
        while not self.stopping.is_set():
            began = time.monotonic()
            code = await self._live()
            if self.stopping.is_set() or code == USAGE:
                return code
            pause = FIRST if time.monotonic() - began > STEADY else min(pause * 2, LONGEST_OF.get(self.name, LONGEST))
            structlog.get_logger().warning("process.ended", child=self.name, code=code, again_in=pause)
            await self._sleep(pause)
        return 0

    async def _live(self) -> int:
        self.process = await asyncio.create_subprocess_exec(
            *self.command,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=sys.stderr,
            stderr=sys.stderr,
            start_new_session=True,
        )
        structlog.get_logger().info("process.started", child=self.name, pid=self.process.pid)
        code = await self.process.wait()
        self._signal_group(signal.SIGKILL)  # workers that it left behind would hold its port
        return code

    async def _sleep(self, pause: float) -> None:
        try:
            await asyncio.wait_for(self.stopping.wait(), pause)
        except TimeoutError:
            return

    async def stop(self, kept: "asyncio.Task[int]") -> None:
        """SIGTERM, GRACE seconds, SIGKILL."""
        self.stopping.set()
        if self.process and self.process.returncode is None:
            self.process.terminate()
        try:
            await asyncio.wait_for(asyncio.shield(kept), GRACE)
        except TimeoutError:
            structlog.get_logger().warning("process.killed", child=self.name, after=GRACE)
            self._signal_group(signal.SIGKILL)
            await kept

    def kill(self) -> None:
        """At once; for those who ask twice."""
        self.stopping.set()
        self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: signal.Signals) -> None:
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return


def run(config: Config, path: Path, faces: frozenset[str], told: Told) -> int:
    """Runs the whole service until SIGTERM or SIGINT; answers its exit code.

    Raises Conflict for a busy port and StoreUnavailable or ConfigError before anything is started.
    """
    logs.configure("supervisor")
    demand_root(config)
    for listen in filter(
        None, (config.server.https_listen, config.server.http_listen, config.ui.client_certificates.listen)
    ):
        demand_free(listen, PORT_PATIENCE)
    environment = {**os.environ, **prepare(config), SUPERVISOR: str(os.getpid())}
    _migrate(config, path)
    options = ["--config", str(path), "--faces", ",".join(sorted(faces))]
    children = {name: _child(config, name, options, environment) for name in KINDS}
    return asyncio.run(_supervise(children, _announce(config, told)))


def _child(config: Config, name: str, options: Sequence[str], environment: Mapping[str, str]) -> Child:
    command = dropped(config, name, [*CERTWRIGHT, "serve", "--only", name, *options])
    return Child(name, command, _known(config, name, environment))


def _migrate(config: Config, path: Path) -> None:
    """Brings the tables up to date; root in production leaves that to the scheduler's user."""
    if not is_roots_affair(config):
        store.bring_up_to_date(config)
        return
    command = [*CERTWRIGHT, "db", "migrate", "--yes", "--quiet", "--config", str(path)]
    done = subprocess.run(dropped(config, "scheduler", command), stdin=subprocess.DEVNULL, stdout=sys.stderr)
    if done.returncode:
        raise StoreUnavailable("The tables cannot be brought up to date.", next_step="Mend what is said above.")


def _known(config: Config, name: str, environment: Mapping[str, str]) -> Mapping[str, str]:
    """The environment of one child: a PIN that stands in it is for the signer alone."""
    kind, _, variable = config.hsm.pin_source.partition(":")
    hidden = variable if kind == "env" and name != "signer" else ""
    return {key: value for key, value in environment.items() if key != hidden}


def prepare(config: Config) -> dict[str, str]:
    """Makes the places, and what lives as long as the service; answers the environment that tells children of it."""
    metrics = config.path(config.server.metrics_dir)
    shutil.rmtree(metrics, ignore_errors=True)
    prepare_places(config)
    metrics.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {"PROMETHEUS_MULTIPROC_DIR": str(metrics)}


async def _supervise(children: Mapping[str, Child], announce: Coroutine[None, None, None]) -> int:
    asked_to_end = asyncio.Event()
    _listen(asked_to_end, children)
    kept = {name: asyncio.create_task(child.keep()) for name, child in children.items()}
    announced = asyncio.create_task(announce)
    asked = asyncio.create_task(asked_to_end.wait())
    await asyncio.wait({asked, *kept.values()}, return_when=asyncio.FIRST_COMPLETED)
    announced.cancel()
    codes = [task.result() for task in kept.values() if task.done()]
    structlog.get_logger().info("service.stopping")
    _notify("STOPPING=1")
    for name in DRAIN:
        await children[name].stop(kept[name])
    asked.cancel()
    return codes[0] if codes else 0


def _listen(asked: asyncio.Event, children: Mapping[str, Child]) -> None:
    """The first signal drains, the second kills."""

    def hear() -> None:
        if asked.is_set():
            for child in children.values():
                child.kill()
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, hear)


async def _announce(config: Config, told: Told) -> None:
    """Asks the doors until they are ready, then says so: to the log, to systemd and to who started this."""
    said, pause = time.monotonic(), 0.1
    while missing := [f"{one.door}: {one.missing}" for one in await asyncio.to_thread(doors, config) if not one.ready]:
        if time.monotonic() - said > PATIENCE:
            said = time.monotonic()
            structlog.get_logger().warning("service.waiting", missing=missing)
            told.waiting(missing)
        await asyncio.sleep(pause)
        pause = min(pause * 1.2, 2.0)
    structlog.get_logger().info("service.ready", url=config.server.public_url, status=config.server.status_url)
    _notify("READY=1")
    told.ready()


def _notify(state: str) -> None:
    """Tells systemd (sd_notify); without systemd, nobody."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
