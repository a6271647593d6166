"""The small world of an interop test: the product as a user starts it, and foreign programs on loopback."""

import fcntl
import functools
import http.server
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.ports import free_port, is_free

LAUNCHER = Path(__file__).parents[2] / "certwright"
CHALLENGE_PORT = 5002  # where the demo fetches http-01 (CONTRACT.md)
ALPN_PORT = 5001  # where the demo looks for tls-alpn-01


def environment(home: Path, **more: str) -> dict[str, str]:
    """What a program gets of the tester's environment: a path and an empty home, no proxies and no CA bundles."""
    return {"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin", "HOME": str(home), "LANG": "C.UTF-8", **more}


def run(
    *command: str | Path, env: Mapping[str, str], timeout: int = 60, ok: tuple[int, ...] = (0,), cwd: Path | None = None
) -> str:
    """Runs a program without a terminal to its end, and answers what it printed (both streams)."""
    done = subprocess.run(
        [str(word) for word in command],
        env=dict(env),
        cwd=cwd or env["HOME"],
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert done.returncode in ok, f"{command[0]} ended with {done.returncode}:\n{done.stdout[-6000:]}"
    return done.stdout


def need(program: str, package: str = "") -> str:
    """The path of a foreign program, or a skip that says how to get it."""
    path = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not path:
        pytest.skip(f"{program} is not installed: apt-get install {package or program}")
    return path


@dataclass(frozen=True)
class Demo:
    """A running `./certwright demo`."""

    folder: Path
    https_port: int
    http_port: int
    banner: str
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        return f"https://localhost:{self.https_port}"

    @property
    def directory(self) -> str:
        return f"{self.origin}/acme/directory"

    @property
    def status(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def root(self) -> Path:
        return self.folder / "root.pem"

    def certwright(self, *words: str, ok: tuple[int, ...] = (0,)) -> str:
        """One command of the product, with the demo's configuration; its standard output and errors."""
        env = environment(self.folder, CERTWRIGHT_CONFIG=str(self.folder / "certwright.toml"), **self.more)
        return run(LAUNCHER, *words, env=env, timeout=60, ok=ok)

    def record(self, serial: int) -> dict[str, object]:
        """What `cert list --json` says of one certificate."""
        rows = json.loads(self.certwright("cert", "list", "--json"))
        found = [row for row in rows if int(row["serial"], 16) == serial]
        assert len(found) == 1, f"{serial:x} stands {len(found)} times in the list"
        return dict(found[0])


@contextmanager
def demo(folder: Path, **more: str) -> Iterator[Demo]:
    """Starts the demo as the README says, on free ports, and stops it as the README says; `more` is its environment.

    The person who starts it stands in a folder that holds a package `ca` of his own, which must not matter.
    """
    https_port, http_port = free_port(), free_port()
    (folder.parent / "ca").mkdir()
    (folder.parent / "ca" / "__init__.py").write_text("raise SystemExit('imported from where the user stands')")
    env = environment(folder.parent, **more)
    ports = ("--https-port", str(https_port), "--http-port", str(http_port))
    try:
        banner = run(LAUNCHER, "demo", "--dir", folder, *ports, "--detach", env=env, timeout=180, cwd=folder.parent)
        yield Demo(folder, https_port, http_port, banner, more)
    finally:
        run(LAUNCHER, "demo", "--dir", folder, "--stop", env=env, timeout=60, cwd=folder.parent, ok=(0, 1))


@contextmanager
def challenge_port(port: int = CHALLENGE_PORT) -> Iterator[int]:
    """Holds such a port for one client: there is one of it on a machine, and tests may run side by side."""
    with (Path(tempfile.gettempdir()) / f"certwright-port-{port}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _await_free(port)
        yield port


def _await_free(port: int, patience: float = 30) -> None:
    """Until one may listen there: a server that its test has ended may have workers that take a while to end."""
    end = time.monotonic() + patience
    while not is_free(port):
        assert time.monotonic() < end, f"port {port} is held by {_holders(port)}"
        time.sleep(0.2)


def _holders(port: int) -> list[str]:
    """The command lines of the processes that have a socket at this local port (Linux; others are not told)."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    sockets = {f"socket:[{words[9]}]" for words in lines if words[1].endswith(f":{port:04X}")}
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if os.readlink(link) in sockets:
                found.add((link.parents[1] / "cmdline").read_text().replace("\0", " "))
    return sorted(found)


@contextmanager
def webroot(folder: Path, port: int = CHALLENGE_PORT) -> Iterator[Path]:
    """A web server on 127.0.0.1:5002 (or `port`) for clients that only write files; answers where those go."""
    wellknown = folder / ".well-known" / "acme-challenge"
    wellknown.mkdir(parents=True)
    page = functools.partial(_Quiet, directory=str(folder))
    server = _listening(port, page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield wellknown
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _listening(port: int, page: functools.partial["_Quiet"]) -> http.server.ThreadingHTTPServer:
    """A web server at that port, also when the last holder's workers let go of it only now."""
    with suppress(OSError):
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), page)
    _await_free(port)
    return http.server.ThreadingHTTPServer(("127.0.0.1", port), page)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Says nothing: pytest shows what the client printed."""
