"""The web process as it runs: HTTPS with its own certificate, workers, shared metrics, hostile and slow clients."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path

import pytest
from cryptography import x509

from ca.config import load
from tests.ca.authority.world import World
from tests.ports import free_port
from tests.web.desk import a_name, csr, make_token, pem
from tests.web.plane import ROOT, address

pytestmark = pytest.mark.slow

CERTIFICATES = "/api/v1/certificates"
PROGRAM = """
from ca import logs
from ca.config import load
from web.serve import run
logs.configure("web")
run(load(), frozenset({"acme", "api"}))
"""

LATE = """
import sys
from ca.authority import open_authority
from ca.config import load as configuration
from web.app import FACES, create_app, load
load(FACES)
before = set(sys.modules)
create_app(open_authority(configuration()), FACES)
print(sorted(set(sys.modules) - before))
"""


@dataclass
class Web:
    """A web process over the world's CA."""

    popen: subprocess.Popen[bytes]
    listen: tuple[str, int]
    metrics: tuple[str, int]
    roots: Path
    log: Path
    secret: str

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.roots))

    def connect(self) -> ssl.SSLSocket:
        plain = socket.create_connection(self.listen, timeout=15)
        return self.context().wrap_socket(plain, server_hostname="localhost")

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
        connection = HTTPSConnection("localhost", self.listen[1], context=self.context(), timeout=15)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = json.dumps(body) if body is not None else None
        every = {"Authorization": f"Bearer {self.secret}", "Content-Type": "application/json", **named}
        try:
            connection.request(method, path, sent, every)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def issue(self) -> tuple[int, bytes]:
        return self.ask("POST", CERTIFICATES, {"csr": pem(csr(a_name()))})

    def workers(self) -> list[int]:
        pid = self.popen.pid
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture(scope="module")
def web(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """One web process for this module; tests that end it start another."""
    folder = tmp_path_factory.mktemp("web")
    authority = world.open()
    roots = folder / "roots.pem"
    roots.write_bytes(authority.publisher.get("roots.pem").body)
    secret = make_token(authority)
    authority.store.close()
    listen, metrics = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    environment = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    environment |= {
        "CERTWRIGHT_CONFIG": str(world.place.configuration),
        "CERTWRIGHT_SERVER__HTTPS_LISTEN": listen,
        "CERTWRIGHT_SERVER__METRICS_LISTEN": metrics,
        "CERTWRIGHT_SERVER__METRICS_DIR": str(folder / "metrics"),
    }
    with open(folder / "log", "wb") as out:
        popen = subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, stdout=out, stderr=out)
    made = Web(popen, address(listen), address(metrics), roots, folder / "log", secret)
    deadline = time.monotonic() + 30
    while True:
        try:
            made.ask("GET", "/health")
            break
        except OSError:
            assert popen.poll() is None, made.log.read_text()
            assert time.monotonic() < deadline, made.log.read_text()
            time.sleep(0.1)
    yield made
    popen.terminate()
    assert popen.wait(20) == 0, made.log.read_text()
    assert "Traceback" not in made.log.read_text()


def test_https_stands_on_a_certificate_of_its_own_ca(web: Web, world: World) -> None:
    with web.connect() as connection:
        served = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")
    names = served.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    authority = world.open()
    assert authority.certificate(served.serial_number).owner == "certwright"
    key = authority.own_certificate().key
    authority.store.close()
    assert key.stat().st_mode & 0o777 == 0o600


def test_a_worker_imports_nothing_that_its_parent_could_have_imported_for_all(world: World) -> None:
    environment = {**os.environ, "CERTWRIGHT_CONFIG": str(world.place.configuration)}
    done = subprocess.run([sys.executable, "-c", LATE], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout == "['apiflask.settings']\n", done.stderr  # constants, which APIFlask reads by their name


def test_a_client_without_our_root_does_not_connect(web: Web) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(socket.create_connection(web.listen), server_hostname="localhost")


def test_curl_issues_with_a_raw_csr(web: Web, tmp_path: Path) -> None:
    """The line of docs/api.md."""
    (tmp_path / "csr.pem").write_text(pem(csr(a_name())))
    url = f"https://localhost:{web.listen[1]}{CERTIFICATES}?profile=server"
    command = [
        "curl",
        "-sS",
        "--fail-with-body",
        "--cacert",
        str(web.roots),
        "-H",
        f"Authorization: Bearer {web.secret}",
    ]
    command += ["-H", "Content-Type: application/pkcs10", "-H", "Accept: application/pem-certificate-chain"]
    done = subprocess.run([*command, "--data-binary", "@csr.pem", url], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout
    assert len(x509.load_pem_x509_certificates(done.stdout)) == 2


def test_many_at_once_over_all_workers(web: Web) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: web.issue(), range(40)))
    assert {status for status, _ in answers} == {201}
    assert len({json.loads(body)["serial"] for _, body in answers}) == 40


def test_metrics_are_shared_by_the_workers_and_open_on_loopback(web: Web) -> None:
    def issued(text: str) -> float:
        lines = [line for line in text.splitlines() if line.startswith("certwright_issued_total{")]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if 'profile="server"' in line)

    def scraped() -> str:
        with socket.create_connection(web.metrics, timeout=5) as connection:
            connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    before = issued(scraped())
    for _ in range(6):
        assert web.issue()[0] == 201
    status, body = web.ask("GET", "/metrics")
    assert status == 200
    assert issued(body.decode()) == issued(scraped()) == before + 6
    assert f'url_rule="{CERTIFICATES}"' in body.decode()
    assert "certwright_crl_next_update_seconds{" in body.decode()
    assert "certwright_own_certificate_expiry_seconds " in body.decode()


def test_the_acme_door_is_open(web: Web) -> None:
    status, body = web.ask("GET", "/acme/directory")
    assert status == 200
    assert "newNonce" in json.loads(body)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/acme/directory", "GET, HEAD, POST"), ("/acme/new-order", "POST"), (CERTIFICATES, "GET, HEAD, OPTIONS, POST")],
)
def test_a_made_up_method_is_405_with_those_that_are_known(web: Web, path: str, allowed: str) -> None:
    with web.connect() as connection:
        connection.sendall(f"BREW {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(": ", 1) for line in head.decode().splitlines()[1:])
    assert head.startswith(b"HTTP/1.1 405")
    assert sorted(fields["allow"].upper().split(", ")) == sorted(allowed.split(", "))
    assert fields["content-type"] == "application/problem+json"
    assert json.loads(body)["status"] == 405


def test_a_body_that_is_too_large_for_acme_is_a_problem_of_acme(web: Web) -> None:
    status, body = web.ask("POST", "/acme/new-order", {"payload": "a" * 1_000_000})
    assert (status, json.loads(body)["type"]) == (413, "urn:ietf:params:acme:error:malformed")


@pytest.mark.slow
def test_hostile_and_slow_clients_do_no_harm(web: Web) -> None:
    """A body of 10 MB, 300 bodies that never end, 200 handshakes that never begin; the others are served."""
    status, body = web.ask("POST", CERTIFICATES, {"csr": "a" * 10_000_000})
    assert (status, json.loads(body)["status"]) == (413, 413)
    slow = [web.connect() for _ in range(100)]
    for connection in slow:
        connection.sendall(b"POST /acme/new-order HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
    idle = [socket.create_connection(web.listen) for _ in range(200)]
    began = time.monotonic()
    for _ in range(10):
        assert web.issue()[0] == 201
    assert time.monotonic() - began < 8
    answer = slow[0].recv(65536)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"application/problem+json" in answer
    assert b"urn:ietf:params:acme:error:malformed" in answer
    assert b"replay-nonce: " in answer
    for one in (*slow, *idle):
        one.close()


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_nothing_is_lost(web: Web) -> None:
    before = web.workers()
    serials = [json.loads(web.issue()[1])["serial"] for _ in range(3)]
    os.kill(before[0], signal.SIGKILL)
    deadline = time.monotonic() + 20
    while len(web.workers()) < len(before) or web.workers() == before:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    for serial in serials:
        assert web.ask("GET", f"{CERTIFICATES}/{serial}")[0] == 200


@pytest.mark.slow
def test_a_renewed_certificate_is_served_without_a_restart(web: Web, world: World) -> None:
    """However the renewal came: the web process looks every few seconds whether its certificate is another one."""

    def served() -> int:
        with web.connect() as connection:
            return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"").serial_number

    first, pid = served(), web.popen.pid
    authority = world.open()
    (authority.own_certificate().folder / "current").unlink()
    assert authority.renew_own_certificate().done == 1
    authority.store.close()
    deadline = time.monotonic() + 40
    while served() == first:
        assert time.monotonic() < deadline, web.log.read_text()
        time.sleep(0.3)
    assert web.popen.pid == pid
    while len(web.workers()) != load(world.place.configuration).server.workers:
        assert time.monotonic() < deadline, "the old workers stay"
        time.sleep(0.2)
