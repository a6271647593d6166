"""An installation in production mode as root sets it up: five users by number, SoftHSM, and nothing of a demo."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ca import config as configuration
from ca.config import Config
from ca.users import MEMBERS, Users, resolve
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
MODULE = "/usr/lib/softhsm/libsofthsm2.so"
UIDS = {name: 59101 + number for number, name in enumerate(MEMBERS)}
GROUPS = {"everyone": 59111, "records": 59112, "clients": 59113}

CONFIGURATION = """\
[users]
{users}
[server]
https_listen = "127.0.0.1:{https}"
http_listen = "127.0.0.1:{http}"
public_url = "https://localhost:{https}"
status_url = "http://127.0.0.1:{http}"
tls_dir = "{lib}/tls"
metrics_dir = "{lib}/metrics"
[database]
url = "sqlite:///{lib}/records/certwright.sqlite"
[hsm]
module = "{module}"
pin_source = "file:{lib}/secrets/pin"
environment = {{ SOFTHSM2_CONF = "{lib}/hsm/softhsm2.conf" }}
accept_software_token = true
[signer]
state_dir = "{lib}/signer"
socket = "{run}/signer/signer.sock"
[ca]
permitted_names = ["test", "localhost", "127.0.0.0/8"]
publication_dir = "{lib}/public"
[acme]
nonce_dir = "{lib}/nonces"
eab_key_file = "{lib}/eab/key"
[acme.validation]
socket = "{run}/fetcher/fetcher.sock"
allow_networks = ["127.0.0.0/8"]
http_port = {http01}
"""


@dataclass(frozen=True)
class Host:
    """One host: its folder, and the ports of its doors."""

    folder: Path
    https: int
    http: int
    http01: int

    @property
    def file(self) -> Path:
        return self.folder / "etc" / "certwright.toml"

    @property
    def lib(self) -> Path:
        return self.folder / "lib"

    @property
    def config(self) -> Config:
        return configuration.load(self.file)

    @property
    def users(self) -> Users:
        return resolve(self.config.users)

    def configure(self, mode: str = "", **changed: object) -> None:
        users = "\n".join(f'{name} = "{number}"' for name, number in {**UIDS, **GROUPS, **changed}.items())
        text = CONFIGURATION.format(
            users=users,
            https=self.https,
            http=self.http,
            http01=self.http01,
            lib=self.lib,
            run=self.folder / "run",
            module=MODULE,
        )
        self.file.parent.mkdir(exist_ok=True)
        self.file.write_text(f'mode = "{mode}"\n{text}' if mode else text)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CERTWRIGHT_", "PROMETHEUS"))}
        path = f"{ROOT}:{sysconfig.get_path('purelib')}"
        return {**kept, "PYTHONPATH": path, "CERTWRIGHT_CONFIG": str(self.file)}

    def run(self, *words: str | Path, ok: int = 0, user: str = "") -> "subprocess.CompletedProcess[str]":
        """One command, as root or as the user of a process; its exit code is compared."""
        command = [*as_user(user), *certwright(*words)]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120, cwd="/")
        assert done.returncode == ok, f"{words} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def json(self, *words: str | Path, ok: int = 0) -> object:
        return json.loads(self.run(*words, "--json", ok=ok).stdout)

    @contextmanager
    def serving(self) -> "Iterator[subprocess.Popen[bytes]]":
        """The whole service, as root starts it, with the rights that deploy/compose.yaml leaves to root."""
        command = [*as_in_the_container(), *certwright("serve")]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, cwd="/")
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()


def certwright(*words: str | Path) -> list[str]:
    return [interpreter(), "-P", "-m", "cli.main", *map(str, words)]


def as_in_the_container() -> list[str]:
    """Root with the capabilities of `cap_add` alone, and no way to more."""
    [added] = re.findall(r"cap_add: (.*)", (ROOT / "deploy" / "compose.yaml").read_text())
    caps = ",".join(["-all", *(f"+{name.lower()}" for name in json.loads(added))])
    return ["setpriv", f"--inh-caps={caps}", f"--bounding-set={caps}", "--no-new-privs"]


def as_user(process: str) -> list[str]:
    """What runs a command as the user of a process, with its groups; nothing for root."""
    if not process:
        return []
    groups = ",".join(str(GROUPS[one]) for one in MEMBERS[process])
    uid = UIDS[process]
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", f"--groups={groups}", "--no-new-privs"]


def interpreter() -> str:
    """A Python of this version that other users can run too: the environment's may stand in somebody's home."""
    minor = sys.version_info.minor
    for name in (sys.executable, f"/usr/bin/python3.{minor}", f"/usr/local/bin/python3.{minor}"):
        real = Path(name).resolve()
        if real.exists() and all(one.stat().st_mode & 1 for one in (real, *real.parents)):
            return name
    pytest.skip(f"no Python 3.{minor} here that every user may run")


def demand_root() -> None:
    """Skips what needs several users."""
    if os.geteuid() != 0:
        pytest.skip("only root can start processes as several users")
    if not Path(MODULE).exists() or shutil.which("setpriv") is None:
        pytest.skip("SoftHSM or setpriv is not here: apt-get install softhsm2 util-linux")
    interpreter()


@contextmanager
def new_host() -> Iterator[Host]:
    """A configured host on which nothing was done yet, in a folder that every user may enter."""
    demand_root()
    with tempfile.TemporaryDirectory(prefix="cw-host-") as name:
        Path(name).chmod(0o755)
        made = Host(Path(name), free_port(), free_port(), free_port())
        made.configure()
        yield made
