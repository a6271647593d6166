"""A private nginx (Debian), for tests that need a real web server."""

import getpass
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.interop.world import environment, need

AROUND = """\
user {user};
pid {home}/pid;
error_log {home}/log;
worker_processes 1;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
{servers}}}
"""


@contextmanager
def nginx(home: Path, servers: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Runs it in a folder with these servers, until the end of the block."""
    (home / "conf").write_text(AROUND.format(user=getpass.getuser(), home=home, servers=servers))
    command = [need("nginx", "nginx-light"), "-p", str(home), "-c", str(home / "conf"), "-g", "daemon off;"]
    with running(command, home) as process:
        until(lambda: (home / "pid").exists() and (home / "pid").read_text(), process=process, log=home / "log")
        yield process


@contextmanager
def running(command: list[str], home: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A server in the foreground, ended by SIGTERM; what it says goes to `home/said`."""
    with (home / "said").open("ab") as said:
        process = subprocess.Popen(command, env=environment(home), stdout=said, stderr=said)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def until(
    what: Callable[[], object],
    seconds: float = 30,
    process: "subprocess.Popen[bytes] | None" = None,
    log: Path | None = None,
) -> None:
    """Returns once that is true."""
    end = time.monotonic() + seconds
    while not what():
        gone = process is not None and process.poll() is not None
        if gone or time.monotonic() > end:
            raise AssertionError(log.read_text()[-4000:] if log else "it did not happen")
        time.sleep(0.1)
