"""The five kinds of processes, as one table, and how this process becomes one of them.

A kind's main is `run(config)`; it returns when SIGTERM or SIGINT told it to. None of them changes tables: over
a database that is not up to date it exits and names `certwright db migrate`.
"""

import ctypes
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ca.errors import CAError, Conflict

if TYPE_CHECKING:
    from ca.config import Config

SUPERVISOR = "CERTWRIGHT_SUPERVISOR_PID"
"""Set for supervised children: they die with that process, whatever kills it."""

CERTWRIGHT = (sys.executable, "-P", "-m", "cli.main")
"""The command line, for a child. -P: what lies in the folder where a person happens to stand is not imported."""

_PR_SET_PDEATHSIG = 1


KINDS: Mapping[str, str] = {
    "signer": "ca.keys.signer:run",
    "fetcher": "acme_server.validation.fetcher:run",
    "scheduler": "scheduler.__main__:run",
    "status": "web.status:run",
    "web": "web.serve:run",
}
"""In the order of their start."""

FACES = ("acme", "api", "ui")


def become(kind: str, config: "Config", faces: frozenset[str]) -> int:
    """Runs that kind's main in this process and answers the exit code; raises CAError when started by hand."""
    import structlog

    from ca import logs, users
    from ca.loading import uncollected

    logs.configure(kind)
    _leave_no_core()
    try:
        users.demand(config, kind)
        _share_counters(config)
        with uncollected():
            main = _main(KINDS[kind])
        main(config, faces) if kind == "web" else main(config)
    except CAError as error:
        if SUPERVISOR not in os.environ:
            raise
        structlog.get_logger().critical("process.refused", detail=error.detail, next_step=error.next_step)
        return error.exit_code
    return 0


def _leave_no_core() -> None:
    """A core file holds what memory holds: keys of the doors, passwords, tokens. Workers inherit this."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _share_counters(config: "Config") -> None:
    """Where the counters of this node's processes meet; set before anything counts.

    In production the others may read the file of each, and only its own process writes it.
    """
    if config.mode == "production":
        os.umask(0o027)
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        folder = config.path(config.server.metrics_dir)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    from web import solid  # the library looks at the environment when it is imported

    solid.install()


def _main(target: str) -> Callable[..., None]:
    module, _, name = target.partition(":")
    main: Callable[..., None] = getattr(import_module(module), name)
    return main


PORT_PATIENCE = 5.0
"""Seconds that the service before this one gets to let go of its ports."""


def demand_free(listen: str, patience: float = 0.0) -> None:
    """Raises Conflict when something listens at host:port already, and still does after `patience` seconds.

    A service that was just killed needs a moment to let go of its ports.
    """
    end = time.monotonic() + patience
    while True:
        try:
            return _bind(listen)
        except Conflict:
            if time.monotonic() >= end:
                raise
            time.sleep(0.1)


def _bind(listen: str) -> None:
    host, _, port = listen.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
        except OSError as error:
            raise Conflict(
                f"Cannot listen at {listen}: {error.strerror}.",
                next_step=f"See who does by 'ss -ltnp sport = :{port}', or choose another port "
                "(server.https_listen, server.http_listen; demo: --https-port, --http-port).",
            ) from None


def part(module: str, *words: str, **more: Any) -> "subprocess.Popen[Any]":
    """Starts `python -m MODULE WORDS` as a part of this process: it ends when this one does, however that ends.

    -P: what lies in the folder where a person happens to stand is not imported.
    """
    environment = {**os.environ, SUPERVISOR: str(os.getpid())}
    return subprocess.Popen([sys.executable, "-P", "-m", module, *words], env=environment, **more)


def join_supervisor() -> None:
    """Called first by whatever may be a part: from here on it dies with its supervisor, if it has one."""
    supervisor = int(os.environ.get(SUPERVISOR, "0"))
    if supervisor:
        die_with(supervisor)


def die_with(parent: int) -> None:
    """Asks the kernel for SIGTERM when the parent dies, even by kill -9; exits at once if it is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(0)
