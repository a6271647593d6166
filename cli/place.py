"""The demo's directory: what lies in it, made in steps that can each be done again.

A directory is the demo's when it holds `demo.pid`, which is made first. Whoever runs the demo holds a lock on
that file, so that `--stop` never signals a process that is not ours and a killed demo leaves nothing behind.
Until the ceremony has ended everything in it can be made anew, and is.
"""

import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from ca.errors import BadRequest, CAError, ConfigError, Conflict
from cli.files import write_whole
from cli.processes import part

LABEL = "certwright-demo"

CONFIGURATION = """\
# Written by 'certwright demo'. Nobody may trust certificates of this CA: it lives on this machine, for 30 days,
# with keys in a software token. The lines that say (demo) are written again at each start.
mode = "demo"

[server]
https_listen = "127.0.0.1:8443"  # (demo)
http_listen = "127.0.0.1:8080"  # (demo)
public_url = "https://localhost:8443"  # (demo)
status_url = "http://127.0.0.1:8080"  # (demo)
names = ["127.0.0.1", "::1"]

[database]
url = "sqlite:///state/certwright.sqlite"

[hsm]
module = ""  # (demo)
environment = {}  # (demo)
token_label = "certwright-demo"
pin_source = "file:secrets/pin"

[ca]
# Name constraints of the issuing CA: it cannot make a certificate that is valid for anything else.
permitted_names = [
    "localhost", "test", "internal",
    "127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
]

[acme]
profiles = ["server", "short-lived"]
# Without dns-persist-01: some clients stop at a challenge that has no token.
challenges = ["http-01", "dns-01", "tls-alpn-01", "dns-account-01"]

[acme.limits]
# Nobody is held up in a demo.
orders_per_account = 0
orders_per_name = 0
accounts_per_address = 0

[acme.validation]
# Clients on this machine answer http-01 at a port that needs no root.
http_port = 5002
tls_alpn_port = 5001
allow_networks = ["127.0.0.0/8", "::1/128"]
"""

STOP_SECONDS = 90.0
LARGE_LOG = 16 << 20


@dataclass(frozen=True)
class Ports:
    """What was asked for on the command line; 0 means: as it was, else the default."""

    https: int = 0
    http: int = 0


@dataclass(frozen=True)
class Place:
    """One demo directory, absolute."""

    path: Path

    @property
    def configuration(self) -> Path:
        """What every other command takes by --config."""
        return self.path / "certwright.toml"

    @property
    def root(self) -> Path:
        """PEM of the root, for clients."""
        return self.path / "root.pem"

    @property
    def root_token(self) -> Path:
        """The root's own token store; the configuration does not name it."""
        return self.path / "root"

    @property
    def pin(self) -> Path:
        """The PIN of the service's token."""
        return self.path / "secrets" / "pin"

    @property
    def root_pin(self) -> Path:
        """The PIN of the root's token."""
        return self.root_token / "pin"

    @property
    def first_login(self) -> Path:
        """The one-time sign-in link, where there was no terminal to print it to."""
        return self.path / "first-login"

    @property
    def log(self) -> Path:
        """What the processes say."""
        return self.path / "certwright.log"

    @property
    def output(self) -> Path:
        """What a detached demo would have printed."""
        return self.path / "demo.out"

    @property
    def pid_file(self) -> Path:
        """The mark, the lock, and the process id of who holds it."""
        return self.path / "demo.pid"

    # --- one at a time ----------------------------------------------------------------------------

    def claim(self) -> None:
        """Makes the directory and its mark. Raises `Conflict` for a directory of somebody else's."""
        if self.path.is_dir() and not self.pid_file.exists() and any(self.path.iterdir()):
            raise Conflict(
                f"{self.path} is not empty and no demo's directory.", next_step="Choose another by --dir DIR."
            )
        self.path.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.pid_file.touch(mode=0o644)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Holds the directory while the demo runs. Raises `Conflict` when another one does."""
        with self.pid_file.open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Conflict(
                    f"A demo runs in {self.path} already.",
                    next_step=f"Stop it: certwright demo --stop --dir {self.path}",
                ) from None
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield
            file.truncate(0)

    def runner(self) -> int:
        """The process id of the demo that runs here, 0 when none does."""
        try:
            with self.pid_file.open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return 0
        except FileNotFoundError:
            return 0
        except BlockingIOError:
            return int(self.pid_file.read_text().strip() or 0)

    def stop(self) -> bool:
        """Ends the demo that runs here and waits for it; answers whether there was one."""
        pid = self.runner()
        if not pid:
            return False
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + STOP_SECONDS
        while self.runner():
            if time.monotonic() > end:
                raise CAError(f"The demo (process {pid}) does not end.", next_step=f"Kill it: kill -9 {pid}")
            time.sleep(0.05)
        return True

    def remove(self) -> None:
        """Deletes the directory, if it is a demo's. Raises `Conflict` otherwise."""
        self.claim()
        shutil.rmtree(self.path)

    # --- making it --------------------------------------------------------------------------------

    def prepare(self, ports: Ports, module: str) -> None:
        """PINs, token and configuration; what is there stays, save for the lines that say (demo)."""
        for folder in (self.pin.parent, self.root_token):
            folder.mkdir(mode=0o700, exist_ok=True)
        for pin in (self.pin, self.root_pin):
            if not pin.exists():
                write_whole(pin, secrets.token_hex(16) + "\n")
        self._provision(module)
        self._configure(ports, module)

    def open_log(self) -> TextIO:
        """The log to append to; one that grew large makes room, one generation is kept."""
        if self.log.exists() and self.log.stat().st_size > LARGE_LOG:
            self.log.replace(self.log.with_suffix(".log.1"))
        return self.log.open("a", buffering=1)

    def start_over(self) -> None:
        """Throws away what an interrupted start has made: before the ceremony's end nothing here is worth keeping."""
        for name in ("hsm", "root", "secrets", "state"):
            shutil.rmtree(self.path / name, ignore_errors=True)
        self.root.unlink(missing_ok=True)

    def _provision(self, module: str) -> None:
        """In a process of its own: this one loads no PKCS#11 module."""
        words = (str(self.path / "hsm"), LABEL, module)
        with part("cli.provision", *words, stdin=subprocess.PIPE, text=True) as made:
            made.communicate(self.pin.read_text())
        if made.returncode:
            raise CAError("The demo's token cannot be made.", next_step="Mend what is said above, then start it again.")

    def _demand_same_status_plane(self, wanted: int, held: int) -> None:
        """A CA that exists has certificates and CRLs that name the status plane's address, for their whole life."""
        if self.root.exists() and wanted != held:
            raise Conflict(
                f"The certificates of this demo say that its CRLs and OCSP answers are at port {held}.",
                next_step=f"Start it with --http-port {held}, or begin anew by --reset.",
            )

    def _configure(self, ports: Ports, module: str) -> None:
        text = self.configuration.read_text() if self.configuration.exists() else CONFIGURATION
        https, http = ports.https or _port(text, "https_listen"), ports.http or _port(text, "http_listen")
        self._demand_same_status_plane(http, _port(text, "http_listen"))
        values = {
            "https_listen": json.dumps(f"127.0.0.1:{https}"),
            "http_listen": json.dumps(f"127.0.0.1:{http}"),
            "public_url": json.dumps(f"https://localhost:{https}"),
            # RFC 5280 4.2.1.6: the host of a URI is a fully qualified name or an address; "localhost" is neither.
            "status_url": json.dumps(f"http://127.0.0.1:{http}"),
            "module": json.dumps(module),
            "environment": f"{{ SOFTHSM2_CONF = {json.dumps(str(self.path / 'hsm' / 'softhsm2.conf'))} }}",
        }
        for key, value in values.items():
            text = _set(text, key, value)
        write_whole(self.configuration, text, mode=0o644)


def _set(text: str, key: str, value: str) -> str:
    """A line of ours with another value; a line whose mark somebody took away is his."""
    return re.sub(rf"^{key} = .*  # \(demo\)$", lambda _: f"{key} = {value}  # (demo)", text, flags=re.MULTILINE)


def _port(text: str, key: str) -> int:
    try:
        return int(str(tomllib.loads(text)["server"][key]).rpartition(":")[2])
    except (tomllib.TOMLDecodeError, KeyError, ValueError) as error:
        raise ConfigError(
            f"The demo's certwright.toml is damaged: {error}.", next_step="Mend it, or start anew by --reset."
        ) from None


def default_module() -> str:
    """The PKCS#11 module that the launcher found. Raises `BadRequest` without one."""
    module = os.environ.get("CERTWRIGHT_HSM__MODULE") or os.environ.get("CERTWRIGHT_PKCS11_MODULE", "")
    if not module:
        raise BadRequest(
            "No PKCS#11 module is known.",
            next_step="Start it as './certwright demo', or set CERTWRIGHT_PKCS11_MODULE to libsofthsm2.so.",
        )
    return module
