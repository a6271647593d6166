"""The servers under test: each starts on loopback, pinned to one core, and is a context that stops it again.

A started system answers a `Target`: the pids whose process trees are charged, and what the load generator needs.
"""

import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
HTTP01_PORT = 5002
DNS = "127.0.0.1:5053"


class Unavailable(Exception):
    """A system that this machine cannot run; says why."""


@dataclass(frozen=True)
class Ground:
    """Where a run happens: a folder for everything it writes, and one core for each side."""

    work: Path
    server_core: int = 0
    client_core: int = 1
    nice: int = 0

    def server(self, *command: str | Path) -> list[str]:
        return self._pinned(self.server_core, command)

    def client(self, *command: str | Path) -> list[str]:
        return self._pinned(self.client_core, command)

    def _pinned(self, core: int, command: Sequence[str | Path]) -> list[str]:
        nice = ["nice", "-n", str(self.nice)] if self.nice else []
        return [*nice, "taskset", "-c", str(core), *map(str, command)]


@dataclass(frozen=True)
class Target:
    """A running server. `enter` is put before the client's command line (a network namespace)."""

    name: str
    pids: tuple[int, ...]
    flags: dict[str, str] = field(default_factory=dict)
    enter: tuple[str, ...] = ()


def memory(target: Target) -> str:
    """Proportional MiB of all its processes, and of the largest."""
    pids = [pid for root in target.pids for pid in (root, *_children(root))]
    sizes = [_pss(pid) for pid in pids]
    return f"{sum(sizes):.0f} ({max(sizes):.0f})"


def _children(pid: int) -> list[int]:
    found = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [one for child in found for one in (child, *_children(child))]


def _pss(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def need(program: str, package: str) -> str:
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise Unavailable(f"{program} is not installed: apt-get install {package}")
    return path


@contextmanager
def process(command: Sequence[str], log: Path, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server process; ended by SIGTERM, and by SIGKILL if it does not listen within 20 s."""
    with log.open("ab") as out:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, **env})
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(5)


def await_answer(url: str, child: subprocess.Popen[bytes], seconds: float = 120) -> None:
    """Returns when the URL answers below 500. TLS is not verified: it is loopback, and nothing secret is sent."""
    context = ssl._create_unverified_context()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and child.poll() is None:
        try:
            opener.open(url, timeout=2).close()
        except urllib.error.HTTPError as answer:
            if answer.code < 500:
                return
        except OSError:
            pass
        else:
            return
        time.sleep(0.1)
    raise Unavailable(f"{url} does not answer (exit code {child.poll()})")


# -- Certwright --------------------------------------------------------------------------------------------------------
class Certwright:
    """A new demo as a user starts it: SoftHSM, SQLite (or `database`) with full durability, two web workers.

    `pids` are further processes that work for it.
    """

    def __init__(
        self, ground: Ground, name: str = "certwright", database: str = "", pids: tuple[int, ...] = ()
    ) -> None:
        self.ground, self.name, self.pids = ground, name, pids
        self.env = {"CERTWRIGHT_DATABASE__URL": database} if database else {}
        self.folder = Path(tempfile.mkdtemp(prefix="certwright-", dir=ground.work)) / "demo"
        self.https, self.http = free_port(), free_port()

    @contextmanager
    def running(self) -> Iterator[Target]:
        ports = ("--https-port", str(self.https), "--http-port", str(self.http))
        command = self.ground.server(CHECKOUT / "certwright", "demo", "--dir", self.folder, *ports)
        with process(command, self.ground.work / "certwright.log", **self.env) as child:
            await_answer(f"https://localhost:{self.https}/ready", child)
            flags = {
                "directory": f"https://localhost:{self.https}/acme/directory",
                "api": f"https://localhost:{self.https}/api/v1/certificates",
                "ocsp": f"http://127.0.0.1:{self.http}/ocsp",
            }
            yield Target(self.name, (child.pid, *self.pids), flags)

    def command(self, *words: str) -> str:
        """One command of the product, on the client's core."""
        env = {**os.environ, **self.env, "CERTWRIGHT_CONFIG": str(self.folder / "certwright.toml")}
        command = self.ground.client(CHECKOUT / "certwright", *words)
        return subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True, timeout=120).stdout

    def token(self) -> Path:
        """A file with a bearer token for the CSR API."""
        scope = ("--profile", "server", "--allow", "**.localhost")
        made = json.loads(self.command("token", "create", "bench", *scope, "--json"))
        file = self.ground.work / "token"
        file.touch(mode=0o600)
        file.write_text(made["secret"])
        return file

    def issuer(self) -> Path:
        """The issuing certificate as PEM, for OCSP questions."""
        file = self.ground.work / "issuer.pem"
        file.write_bytes(get(f"http://127.0.0.1:{self.http}/ca/issuing-g1.pem"))
        return file

    def serials(self, revoke: int) -> dict[str, str]:
        """Every certificate of the `server` profile with the status that OCSP must say, after revoking some."""
        rows = [row for row in json.loads(self.command("cert", "list", "--json", "--profile", "server")) if _asked(row)]
        for row in rows[:revoke]:
            self.command("cert", "revoke", row["serial"], "--reason", "superseded", "--yes")
            row["status"] = "revoked"
        return {row["serial"]: "revoked" if row["status"] == "revoked" else "good" for row in rows}


def _asked(row: dict[str, str]) -> bool:
    return row["issuer"] == "issuing-g1" and row["status"] in {"valid", "revoked"}


def get(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as answer:
        return bytes(answer.read())


# -- PostgreSQL --------------------------------------------------------------------------------------------------------
@contextmanager
def postgresql(ground: Ground) -> Iterator[tuple[str, int]]:
    """A new server with its defaults (fsync, synchronous_commit on) on the server's core: the URL and its pid."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        raise Unavailable("PostgreSQL is not installed: apt-get install postgresql")
    with tempfile.TemporaryDirectory(prefix="certwright-pg-") as folder:
        who = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
        if who:
            shutil.chown(folder, "nobody", "nogroup")
        init = [programs[-1] / "initdb", "-D", f"{folder}/data", "-U", "certwright", "-A", "trust", "-E", "UTF8"]
        subprocess.run([*who, *init, "--locale=C.UTF-8"], check=True, stdout=subprocess.DEVNULL, cwd="/")
        settings = ("-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}")
        command = ground.server(*who, programs[-1] / "postgres", "-D", f"{folder}/data", *settings)
        with process(command, ground.work / "postgresql.log") as child:
            time.sleep(3)
            yield f"postgresql://certwright@/postgres?host={folder}", child.pid


# -- Pebble ------------------------------------------------------------------------------------------------------------
@contextmanager
def pebble(ground: Ground) -> Iterator[Target]:
    """Debian's pebble: a Go ACME test server that keeps everything in memory."""
    program, folder, port = need("pebble", "pebble"), ground.work / "pebble", free_port()
    folder.mkdir(exist_ok=True)
    _self_signed(folder)
    settings = {
        "listenAddress": f"127.0.0.1:{port}",
        "managementListenAddress": f"127.0.0.1:{free_port()}",
        "certificate": str(folder / "cert.pem"),
        "privateKey": str(folder / "key.pem"),
        "httpPort": HTTP01_PORT,
        "tlsPort": 5001,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": False,
        "retryAfter": {"authz": 0, "order": 0},
    }
    (folder / "pebble.json").write_text(json.dumps({"pebble": settings}))
    quick = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}
    command = ground.server(program, "-config", folder / "pebble.json", "-dnsserver", DNS)
    with process(command, ground.work / "pebble.log", **quick) as child:
        await_answer(f"https://localhost:{port}/dir", child)
        yield Target("pebble", (child.pid,), {"directory": f"https://localhost:{port}/dir", "dns": DNS})


def _self_signed(folder: Path) -> None:
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    _openssl(folder, "req", "-x509", *_NEW_KEY, "-days", "30", *names, "-keyout", "key.pem", "-out", "cert.pem")


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def _openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=30)


# -- nginx -------------------------------------------------------------------------------------------------------------
NGINX = """\
daemon off; worker_processes 1; worker_rlimit_nofile 65536; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; sendfile on; keepalive_requests 100000000; default_type application/ocsp-response;
  open_file_cache max=20000 inactive=300s; merge_slashes off;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}; root {folder}/www;
    location = /one {{ error_page 405 =200 /one.der; }} }}
}}
"""


@contextmanager
def nginx(ground: Ground, folder: Path) -> Iterator[Target]:
    """nginx with answers as files: a GET gets the one at its path in `www/ocsp`, a POST to /one gets `one.der`."""
    program, port, www = need("nginx", "nginx"), free_port(), folder / "www"
    (www / "one").touch()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
    for path in (ground.work, folder.parent, folder):  # nginx, started by root, reads as nobody
        path.chmod(0o755)
    command = ground.server(program, "-c", folder / "nginx.conf", "-p", folder)
    with process(command, ground.work / "nginx.log") as child:
        await_answer(f"http://127.0.0.1:{port}/one", child, 10)
        get, post = f"http://127.0.0.1:{port}/ocsp", f"http://127.0.0.1:{port}/one"
        yield Target("nginx static", (child.pid,), {"ocsp": get, "ocsp_post": post})


# -- openssl ocsp ------------------------------------------------------------------------------------------------------
@contextmanager
def openssl_ocsp(ground: Ground, count: int) -> Iterator[Target]:
    """OpenSSL's responder, which signs each answer. It binds every address, so it lives in a network of its own."""
    if os.geteuid() != 0:
        raise Unavailable("openssl ocsp binds every address: it needs root, for a network namespace of its own")
    folder = ground.work / "openssl"
    folder.mkdir(exist_ok=True)
    _throwaway_ca(folder)
    serials = _index(folder, count)
    who = "openssl ocsp -index index.txt -rsigner ocsp.pem -rkey ocsp.key -CA ca.pem -nmin 60 -ignore_err -port 8890"
    inside = f"cd {folder} && ip link set lo up && exec {who}"
    with process(ground.server("unshare", "-n", "sh", "-c", inside), ground.work / "openssl.log") as child:
        time.sleep(1.0)
        if child.poll() is not None:
            raise Unavailable(f"openssl ocsp does not start: see {ground.work}/openssl.log")
        enter = ("nsenter", "-t", str(child.pid), "-n")
        flags = {"ocsp": "http://127.0.0.1:8890", "issuer": str(folder / "ca.pem"), "list": str(serials)}
        yield Target("openssl ocsp", (child.pid,), flags, enter)


def _throwaway_ca(folder: Path) -> None:
    ca = ("-subj", "/CN=bench", "-addext", "keyUsage=critical,keyCertSign,digitalSignature", "-days", "30")
    _openssl(folder, "req", "-x509", *_NEW_KEY, *ca, "-keyout", "ca.key", "-out", "ca.pem")
    _openssl(folder, "req", *_NEW_KEY, "-subj", "/CN=ocsp", "-keyout", "ocsp.key", "-out", "ocsp.csr")
    (folder / "ext").write_text("keyUsage=critical,digitalSignature\nextendedKeyUsage=OCSPSigning\n")
    sign = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-extfile", "ext")
    _openssl(folder, "x509", "-req", "-in", "ocsp.csr", *sign, "-out", "ocsp.pem")


def _index(folder: Path, count: int) -> Path:
    serials = [f"01{i:036X}" for i in range(1, count + 1)]
    (folder / "index.txt").write_text("".join(f"V\t301231000000Z\t\t{s}\tunknown\t/CN={s}\n" for s in serials))
    (folder / "list").write_text("".join(f"{s} good\n" for s in serials))
    return folder / "list"
