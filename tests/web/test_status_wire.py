"""The status process on the wire: real clients, HTTP/1.0, hostile bytes, slow clients, signals."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.ports import free_port
from tests.web.plane import ROOT, Plane, Process, get_path

pytestmark = pytest.mark.slow

MALFORMED = bytes.fromhex("30030a0101")


@pytest.fixture
def files(plane: Plane, tmp_path: Path) -> Path:
    """What openssl wants as files."""
    (tmp_path / "issuer.pem").write_bytes(plane.hierarchy.issuing_certificate.public_bytes(Encoding.PEM))
    (tmp_path / "roots.pem").write_bytes((plane.folder.get("roots.pem") or pytest.fail("no roots")).body)
    return tmp_path


def openssl_ocsp(files: Path, url: str, serial: int, *options: str) -> str:
    command = ["openssl", "ocsp", *options, "-issuer", "issuer.pem", "-CAfile", "roots.pem", "-url", url]
    done = subprocess.run(
        [*command, "-serial", f"0x{serial:x}"], cwd=files, capture_output=True, text=True, timeout=20, check=False
    )
    return done.stdout + done.stderr


def test_openssl_ocsp_believes_good_and_revoked(plane: Plane, status_process: Process, files: Path) -> None:
    """§4: openssl posts over HTTP/1.0, with a nonce unless told not to, with SHA-1 unless told otherwise."""
    good, bad = plane.issue("a.test").serial_number, plane.issue("b.test").serial_number
    plane.publish_answers(good)
    plane.publish_answers(bad, revoked_at=plane.now)
    url = status_process.url + "/ocsp"
    for options in ((), ("-no_nonce",), ("-no_nonce", "-sha256")):
        text = openssl_ocsp(files, url, good, *options)
        assert "Response verify OK" in text
        assert f"0x{good:x}: good" in text
    text = openssl_ocsp(files, url, bad)
    assert f"0x{bad:x}: revoked" in text
    assert "keyCompromise" in text
    assert "unauthorized" in openssl_ocsp(files, url, plane.hierarchy.serial())


def test_a_get_over_http_1_0_as_nginx_staples(plane: Plane, status_process: Process) -> None:
    """§4: HTTP/1.0 with only a Host header, %2F escapes: Content-Length, no redirect, the connection closed."""
    serial = plane.issue("a.test").serial_number
    plane.publish_answers(serial)
    path = get_path(plane.request(serial))
    raw = status_process.exchange(f"GET {path} HTTP/1.0\r\nHost: status.test\r\n\r\n".encode())
    head, _, body = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200")
    assert f"content-length: {len(body)}".encode() in head.lower()
    assert b"transfer-encoding" not in head.lower()
    assert len(body) > 300


def test_curl_over_http_1_0_fetches_crl_and_range(plane: Plane, status_process: Process) -> None:
    der = plane.publish_crl()
    url = status_process.url + "/crl/issuing-g1/0000.crl"
    assert subprocess.run(["curl", "-sf0", url], capture_output=True, check=True).stdout == der
    assert subprocess.run(["curl", "-sf", "-r", "0-9", url], capture_output=True, check=True).stdout == der[:10]
    gzip = subprocess.run(["curl", "-sfi", "-H", "Accept-Encoding: gzip", url], capture_output=True, check=True).stdout
    assert b"content-encoding" not in gzip.lower(), "never compressed"


def test_head_keeps_the_length_on_the_wire(plane: Plane, status_process: Process) -> None:
    der = plane.publish_crl()
    head = status_process.exchange(b"HEAD /crl/issuing-g1/0000.crl HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert f"content-length: {len(der)}".encode() in head.lower()
    assert head.endswith(b"\r\n\r\n")


HOSTILE = {
    "nothing": b"\r\n\r\n",
    "zeros": b"\x00" * 500,
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 300,
    "no version": b"GET /ready\r\n\r\n",
    "http/9": b"GET /ready HTTP/9.9\r\n\r\n",
    "bad length": b"POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "huge length": b"POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "bad chunks": b"POST /ocsp HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n\r\n",
    "endless head": b"GET /ready HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000,
    "many headers": b"GET /ready HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(500)) + b"\r\n",
    "long path": b"GET /ocsp/" + b"M" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "raw bytes in path": b"GET /ocsp/\xff\xfe\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "bad escapes": b"GET /ocsp/%zz%ff%00%c3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "raw bytes in header": b"GET /ready HTTP/1.1\r\nHost: \xff\xfe\r\nIf-None-Match: \xff\r\nConnection: close\r\n\r\n",
    "made-up method": b"BREW /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "absolute": b"GET http://evil.test/roots.pem HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "connect": b"CONNECT evil.test:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "upgrade": b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


def test_o11_hostile_bytes_get_no_5xx_and_do_no_harm(status_process: Process) -> None:
    for name, raw in HOSTILE.items():
        answer = status_process.exchange(raw, 0.4)
        status = answer[9:12]
        assert answer == b"" or status in (b"200", b"400", b"404", b"405", b"414", b"431", b"501"), (name, answer[:99])
    assert b" 200 OK" in status_process.exchange(b"GET /ready HTTP/1.0\r\n\r\n")
    log = status_process.log.read_text()
    assert "Traceback" not in log, log
    assert "panicked" not in log, log


def test_a_made_up_method_is_405(status_process: Process) -> None:
    answer = status_process.exchange(b"BREW /roots.pem HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 405")
    assert b"allow: GET, HEAD" in answer


def test_a_body_over_the_bound_is_refused_though_it_never_comes(status_process: Process) -> None:
    head = b"POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n"
    assert status_process.exchange(head).endswith(MALFORMED)
    chunks = b"1000\r\n" + b"a" * 4096 + b"\r\n"
    chunked = b"POST /ocsp HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks * 3
    assert status_process.exchange(chunked, 2).endswith(MALFORMED)


@pytest.mark.slow
def test_slow_clients_stop_nobody(plane: Plane, status_process: Process) -> None:
    """More slow bodies than any thread pool has threads: the others are answered at once, the slow ones in the end."""
    slow = [socket.create_connection(status_process.listen, timeout=15) for _ in range(200)]
    for connection in slow:
        connection.sendall(b"POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
    idle = [socket.create_connection(status_process.listen, timeout=15) for _ in range(100)]
    time.sleep(0.3)
    began = time.monotonic()
    for _ in range(20):
        assert b"200 OK" in status_process.exchange(b"GET /roots.pem HTTP/1.0\r\n\r\n")
    assert time.monotonic() - began < 2
    assert Process.drain(slow[0]).endswith(MALFORMED), "after BOUNDS.body_seconds"
    for connection in (*slow, *idle):
        connection.close()


def test_a_client_that_goes_away_leaves_no_trace(status_process: Process) -> None:
    for _ in range(20):
        with socket.create_connection(status_process.listen) as connection:
            connection.sendall(b"POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
    time.sleep(0.2)
    assert "Traceback" not in status_process.log.read_text()


def test_keep_alive_serves_many_requests(plane: Plane, status_process: Process) -> None:
    serial = plane.issue("a.test").serial_number
    plane.publish_answers(serial)
    connection = http.client.HTTPConnection(*status_process.listen, timeout=5)
    for _ in range(50):
        connection.request("GET", get_path(plane.request(serial)))
        answer = connection.getresponse()
        assert answer.status == 200
        assert len(answer.read()) > 300
    connection.request("POST", "/ocsp", plane.request(serial), {"Content-Type": "application/ocsp-request"})
    assert connection.getresponse().status == 200


def test_a_revocation_is_on_the_wire_at_once(plane: Plane, status_process: Process, files: Path) -> None:
    serial = plane.issue("a.test").serial_number
    plane.publish_answers(serial)
    url = status_process.url + "/ocsp"
    assert ": good" in openssl_ocsp(files, url, serial)
    plane.publish_answers(serial, revoked_at=plane.now, version=2)
    assert ": revoked" in openssl_ocsp(files, url, serial)


def test_a_busy_port_is_an_error_with_a_next_step(status_process: Process, tmp_path: Path) -> None:
    program = "from ca.config import load; from web.status import run; run(load())"
    second = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "CERTWRIGHT_CONFIG": str(tmp_path / "certwright.toml")},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert second.returncode == 1
    assert "ca.errors.Conflict: Cannot listen at" in second.stderr
    assert "choose another port" in second.stderr


def test_a_killed_worker_is_replaced(plane: Plane, status_process: Process) -> None:
    worker = int(
        Path(f"/proc/{status_process.popen.pid}/task/{status_process.popen.pid}/children").read_text().split()[0]
    )
    os.kill(worker, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if b"200 OK" in status_process.exchange(b"GET /ready HTTP/1.0\r\n\r\n", 1):
                return
        except OSError:
            pass
        time.sleep(0.1)
    pytest.fail("nobody answers any more")


def test_the_process_imports_neither_database_nor_keys() -> None:
    program = (
        "import sys, web.status; from ca.config import Config; web.status.application(Config());"
        "bad = [m for m in sys.modules if m.split('.')[0] in ('peewee', 'pkcs11', 'psycopg', 'flask', 'sqlite3')"
        " or m.startswith(('ca.store', 'ca.authority'))"
        " or m in ('ca.keys.signer', 'ca.keys.token', 'ca.keys.module', 'ca.keys.pin')];"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=20)


# --- nginx --------------------------------------------------------------------------------------

NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log notice;
events {{ worker_connections 64; }}
http {{
    access_log off; client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2;
    fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    server {{
        listen 127.0.0.1:{port} ssl; server_name a.test;
        ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;
        ssl_stapling on; ssl_stapling_verify on; ssl_trusted_certificate {folder}/trusted.pem;
        ssl_stapling_responder {responder};
        return 200 "ok";
    }}
}}
"""


@pytest.mark.slow
def test_nginx_staples_what_is_published(plane: Plane, status_process: Process, files: Path) -> None:
    """§4: nginx fetches lazily by GET over HTTP/1.0 and verifies before it staples."""
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed (Debian: apt-get install nginx-light)")
    key = ec.generate_private_key(ec.SECP256R1())
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    leaf = x509.load_der_x509_certificate(plane.hierarchy.issue(plane.hierarchy.request("a.test", public_key=spki)))
    plane.publish_answers(leaf.serial_number)
    issuer = (files / "issuer.pem").read_bytes()
    (files / "server.pem").write_bytes(leaf.public_bytes(Encoding.PEM) + issuer)
    (files / "server.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (files / "trusted.pem").write_bytes(issuer + (files / "roots.pem").read_bytes())
    port = free_port()
    responder = status_process.url + "/ocsp"
    (files / "nginx.conf").write_text(NGINX.format(folder=files, port=port, responder=responder))
    files.chmod(0o755)
    with subprocess.Popen(["nginx", "-c", str(files / "nginx.conf"), "-e", str(files / "error.log")]) as nginx:
        try:
            text = _stapled(files, port)
        finally:
            nginx.terminate()
    assert "OCSP Response Status: successful" in text, (files / "error.log").read_text()
    assert "Cert Status: good" in text


def _stapled(files: Path, port: int) -> str:
    """What openssl sees stapled, once nginx has fetched it; the last words if it never does."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "a.test", "-status"]
    text = ""
    for _ in range(40):
        done = subprocess.run([*command, "-CAfile", "roots.pem"], cwd=files, input="", capture_output=True, text=True)
        text = done.stdout + done.stderr
        if "OCSP Response Status" in text:
            break
        time.sleep(0.1)
    return text
