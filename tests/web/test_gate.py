"""The gate and the listener on the wire: bodies, threads, deadlines, TLS, and workers that are replaced."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509

from ca.errors import ConfigError, Conflict
from tests.ports import free_port
from tests.web.plane import ROOT, Process, wait_for
from web.listener import Address, bind

pytestmark = pytest.mark.slow

APPLICATION = """
import json, sys, time
from web.gate import REFUSED, Bounds, Gate
from web.listener import Address, KeyPair, Listener, serve

def application(environ, start_response):
    if environ["PATH_INFO"] == "/sleep":
        time.sleep(float(environ["QUERY_STRING"]))
    if environ["PATH_INFO"] == "/raise":
        raise RuntimeError("secret detail")
    body = environ["wsgi.input"].read()
    shown = {k: v for k, v in environ.items() if isinstance(v, str)}
    shown |= {"refused": environ.get(REFUSED), "body": body.decode("latin-1")}
    start_response("200 OK", [("Content-Type", "application/json"), ("X-Case", "Kept")])
    return [json.dumps(shown).encode()]

def make():
    return Gate(application, Bounds(body=1000, body_seconds=1.0, request_seconds=2.0, threads=2, waiting=2))

def main(listen, chain="", key=""):
    from pathlib import Path
    tls = KeyPair(Path(chain), Path(key)) if chain else None
    serve(Listener(Address.parse(listen), 1, tls), make)

main(*sys.argv[1:])
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "serve.py"
    path.write_text(APPLICATION)
    return path


def start(program: Path, *more: str) -> Process:
    listen = ("127.0.0.1", free_port())
    log = program.with_suffix(f".log{listen[1]}")
    with open(log, "wb") as out:
        popen = subprocess.Popen(
            [sys.executable, str(program), f"127.0.0.1:{listen[1]}", *more],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=out,
            stderr=out,
        )
    return Process(popen, log, listen)


@pytest.fixture
def gate(program: Path) -> Iterator[Process]:
    process = start(program)
    wait_for(process)
    yield process
    process.popen.terminate()
    assert process.popen.wait(20) == 0


def get(process: Process, path: str, wait: float = 5.0) -> bytes:
    return process.exchange(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode(), wait)


def shown(raw: bytes) -> dict[str, object]:
    loaded: dict[str, object] = json.loads(raw.partition(b"\r\n\r\n")[2])
    return loaded


def test_the_environ_is_what_pep_3333_says(gate: Process) -> None:
    seen = shown(
        gate.exchange(
            b"POST /a%2Fb%20%C3%A9?q=%2F HTTP/1.1\r\nHost: h.test\r\nX-Two: 1\r\nX-Two: 2\r\n"
            b"X_Forwarded_For: 6.6.6.6\r\n"
            b"Content-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"
        )
    )
    assert seen["REQUEST_METHOD"] == "POST"
    assert str(seen["PATH_INFO"]).encode("latin-1").decode() == "/a/b é"
    assert seen["QUERY_STRING"] == "q=%2F"
    assert seen["HTTP_X_TWO"] == "1,2"
    assert seen["CONTENT_TYPE"] == "text/plain"
    assert seen["CONTENT_LENGTH"] == "3"
    assert seen["body"] == "abc"
    assert seen["REMOTE_ADDR"] == "127.0.0.1"
    assert seen["wsgi.url_scheme"] == "http"
    assert "HTTP_X_FORWARDED_FOR" not in seen, "a name with an underscore does not pass for another"


def test_chunked_bodies_are_joined(gate: Process) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    seen = shown(gate.exchange(head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"))
    assert (seen["body"], seen["CONTENT_LENGTH"]) == ("abcde", "5")


def test_broken_bounds_reach_the_application_as_refusals(gate: Process) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    large = gate.exchange(head + b"Content-Length: 1001\r\n\r\n" + b"a" * 1001)
    assert (shown(large)["refused"], shown(large)["body"]) == (413, "")
    chunks = gate.exchange(
        head + b"Transfer-Encoding: chunked\r\n\r\n" + b"ff\r\n" + b"a" * 255 + b"\r\n" + b"fff\r\n" + b"a" * 4095
    )
    assert shown(chunks)["refused"] == 413
    slow = gate.exchange(head + b"Content-Length: 10\r\n\r\nabc")
    assert shown(slow)["refused"] == 408


def test_a_sender_that_leaves_off_in_the_middle_is_no_accident(gate: Process) -> None:
    with socket.create_connection(gate.listen, timeout=5) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\nabc")
        connection.shutdown(socket.SHUT_WR)
        answer = gate.drain(connection)
    assert answer == b"" or shown(answer)["refused"] == 400


def test_an_accident_is_500_without_its_inside(gate: Process) -> None:
    answer = get(gate, "/raise")
    assert answer.startswith(b"HTTP/1.1 500")
    assert b"secret detail" not in answer
    assert "secret detail" in gate.log.read_text()


def test_made_up_methods_do_not_get_in(gate: Process) -> None:
    """All of them are one, so that no client makes labels of metrics; each face refuses that one."""
    answer = gate.exchange(b"BREW / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert shown(answer)["REQUEST_METHOD"] == "UNKNOWN"


def test_told_to_end_it_refuses_connections_and_no_worker_has_to_be_killed(program: Path) -> None:
    process = start(program)
    wait_for(process)
    slow = threading.Thread(target=get, args=(process, "/sleep?1.5", 10))
    slow.start()
    time.sleep(0.3)
    process.popen.terminate()
    refused = []
    while process.popen.poll() is None:
        with socket.socket() as late:
            refused.append(late.connect_ex(process.listen) != 0)
        time.sleep(0.05)
    slow.join()
    assert process.popen.returncode == 0
    assert any(refused), "whoever came was left waiting"
    assert "refused to gracefully stop" not in process.log.read_text()


def test_a_request_has_a_deadline(gate: Process) -> None:
    began = time.monotonic()
    answer = get(gate, "/sleep?5", 10)
    assert answer.startswith(b"HTTP/1.1 503")
    assert 1.5 < time.monotonic() - began < 4


def test_more_requests_than_places_are_told_at_once(gate: Process) -> None:
    """Two threads and two waiting places: of eight slow requests four are refused, and nobody waits for that."""
    answers: list[tuple[float, bytes]] = []

    def sleep() -> None:
        began = time.monotonic()
        answer = get(gate, "/sleep?0.7")
        answers.append((time.monotonic() - began, answer[:12]))

    askers = [threading.Thread(target=sleep) for _ in range(8)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    refused = [took for took, head in answers if head == b"HTTP/1.1 503"]
    assert len(refused) == 4
    assert max(refused) < 0.6
    assert get(gate, "/").startswith(b"HTTP/1.1 200"), "the places come back"


def test_slow_bodies_take_no_thread(gate: Process) -> None:
    slow = [socket.create_connection(gate.listen) for _ in range(50)]
    for connection in slow:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    assert get(gate, "/").startswith(b"HTTP/1.1 200")
    for connection in slow:
        connection.close()


# --- the listener -------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "8443", ":8443", "host:", "host:x", "host:65536", "host:-1", "host:٣"])
def test_what_is_no_address_is_a_configuration_error(text: str) -> None:
    with pytest.raises(ConfigError, match="no address"):
        Address.parse(text)


def test_addresses_are_bound_once_and_errors_say_what_to_do() -> None:
    assert Address.parse("[::1]:8443") == ("::1", 8443)
    first = bind(Address("127.0.0.1", 0))
    port = first.getsockname()[1]
    for address in (Address("127.0.0.1", port), Address("192.0.2.1", 80), Address("no.such.invalid", 80)):
        with pytest.raises(Conflict, match="Cannot listen") as refused:
            bind(address)
        assert "ss -ltnp" in refused.value.next_step
    first.close()


# --- TLS and replacement ------------------------------------------------------------------------


def make_pair(folder: Path, name: str) -> None:
    folder.mkdir()
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "chain.pem"), "-days", "2"]
    subprocess.run([*command, "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost"], check=True, stderr=-3)


def connect(listen: tuple[str, int], version: ssl.TLSVersion | None = None) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version:
        context.minimum_version = context.maximum_version = version
    return context.wrap_socket(socket.create_connection(listen, timeout=8), server_hostname="localhost")


def ask(connection: ssl.SSLSocket, path: str = "/") -> str:
    """Asks for the path and answers whose certificate the connection has."""
    with connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert connection.recv(12) == b"HTTP/1.1 200"
        certificate = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")
    return certificate.subject.rfc4514_string()


@pytest.fixture
def tls(program: Path, tmp_path: Path) -> Iterator[Process]:
    make_pair(tmp_path / "1", "first")
    (tmp_path / "current").symlink_to("1")
    process = start(program, str(tmp_path / "current/chain.pem"), str(tmp_path / "current/key.pem"))
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            ask(connect(process.listen))
            break
        except OSError:
            time.sleep(0.05)
    yield process
    process.popen.terminate()
    process.popen.wait(20)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1")
def test_tls_is_1_2_or_1_3(tls: Process) -> None:
    assert ask(connect(tls.listen, ssl.TLSVersion.TLSv1_2)) == "CN=first"
    assert ask(connect(tls.listen, ssl.TLSVersion.TLSv1_3)) == "CN=first"
    with pytest.raises(OSError, match=r"(?i)ssl|reset|protocol"):
        connect(tls.listen, ssl.TLSVersion.TLSv1_1)


@pytest.mark.slow
def test_a_new_certificate_is_taken_without_losing_a_request(tls: Process, tmp_path: Path) -> None:
    """SIGHUP: the new worker accepts before the old one stops, on the same socket; handshakes are not cut off."""
    seen: list[str] = []
    stop = threading.Event()

    def go_on(path: str) -> None:
        while not stop.is_set():
            seen.append(ask(connect(tls.listen), path))

    with ThreadPoolExecutor(4) as pool:
        askers = [pool.submit(go_on, path) for path in ("/", "/", "/sleep?0.3", "/sleep?0.4")]
        make_pair(tmp_path / "2", "second")
        (tmp_path / "next").symlink_to("2")
        (tmp_path / "next").replace(tmp_path / "current")
        tls.popen.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 40
        while seen[-20:].count("CN=second") < 20 and time.monotonic() < deadline:
            time.sleep(0.1)
        stop.set()
    for asker in askers:
        asker.result()
    assert seen[-1] == "CN=second"
    assert len(seen) > 20


@pytest.mark.slow
def test_a_pair_that_does_not_fit_is_not_taken(tls: Process, tmp_path: Path) -> None:
    make_pair(tmp_path / "2", "second")
    (tmp_path / "2/key.pem").write_bytes((tmp_path / "1/key.pem").read_bytes())
    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").replace(tmp_path / "current")
    tls.popen.send_signal(signal.SIGHUP)
    time.sleep(4)
    assert ask(connect(tls.listen)) == "CN=first"
    assert "certificate.unusable" in tls.log.read_text()
