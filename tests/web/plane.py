"""A publication folder with real signed bytes in it, and the status process that serves it."""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from ca.config import Config, load
from ca.crl import build, shard_path, shard_url
from ca.folder import Folder
from ca.ocsp import ALGORITHMS, answer_path, cert_id
from ca.ocsp.response import Status, answer
from ca.records import SYSTEM, Publication, Reason, Revocation
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
HASHES = {"sha1": hashes.SHA1(), "sha256": hashes.SHA256()}


@dataclass
class Plane:
    """A small CA that publishes into a folder. `now` is the moment of its ceremony."""

    hierarchy: Any
    folder: Folder

    @property
    def now(self) -> int:
        return int(self.hierarchy.now)

    def issue(self, *names: str) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.hierarchy.issue(self.hierarchy.request(*names)))

    def put(self, path: str, body: bytes, kind: str, life: int = 0, version: int = 1) -> None:
        until = self.now + life if life else 0
        assert self.folder.apply(Publication(path, body, version, kind, self.now, until))

    def publish_hierarchy(self) -> None:
        roots = x509.load_der_x509_certificate(self.hierarchy.root.certificate).public_bytes(Encoding.PEM)
        issuing = self.hierarchy.issuing_certificate
        self.put("roots.pem", roots, "application/x-pem-file")
        self.put("ca/issuing-g1.cer", issuing.public_bytes(Encoding.DER), "application/pkix-cert")
        self.put("ca/issuing-g1.pem", issuing.public_bytes(Encoding.PEM), "application/x-pem-file")
        self.put("chain/issuing-g1.pem", issuing.public_bytes(Encoding.PEM), "application/x-pem-file")

    def publish_crl(self, revoked: tuple[Revocation, ...] = (), number: int = 1) -> bytes:
        issuing, key = self.hierarchy.issuing, self.hierarchy.issuing_key
        url = shard_url("http://localhost", issuing.id, 0)
        der = build(issuing, key, revoked, number, self.now, self.now + 7 * 86400, url)
        self.put(shard_path(issuing.id, 0), der, "application/pkix-crl", 7 * 86400, number)
        return der

    def publish_answers(self, serial: int, revoked_at: int = 0, life: int = 86400, version: int = 1) -> None:
        issuer = self.hierarchy.issuing_certificate
        status = Status(serial, revoked_at, Reason.KEY_COMPROMISE if revoked_at else Reason.UNSPECIFIED)
        for algorithm in ALGORITHMS:
            der = answer(
                issuer,
                self.hierarchy.responder,
                self.hierarchy.responder_key,
                status,
                algorithm,
                self.now,
                self.now + life,
            )
            path = answer_path(cert_id(issuer, serial, algorithm))
            self.put(path, der, "application/ocsp-response", life, version)

    def request(self, serial: int, algorithm: str = "sha1", nonce: bytes = b"") -> bytes:
        who = cert_id(self.hierarchy.issuing_certificate, serial, algorithm)
        builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
            who.name_hash, who.key_hash, serial, HASHES[algorithm]
        )
        if nonce:
            builder = builder.add_extension(x509.OCSPNonce(nonce), False)
        return builder.build().public_bytes(Encoding.DER)

    def revocation(self, certificate: x509.Certificate) -> Revocation:
        end = int(certificate.not_valid_after_utc.timestamp())
        return Revocation("issuing-g1", certificate.serial_number, self.now, Reason.KEY_COMPROMISE, SYSTEM, end)


def get_path(der: bytes) -> str:
    """The path of an OCSP GET as nginx writes it."""
    import base64

    return "/ocsp/" + quote(base64.b64encode(der).decode(), safe="")


def configure(folder: Path, **server: str) -> Config:
    """A configuration in a folder of its own, on free ports."""
    values = {
        "https_listen": f"127.0.0.1:{free_port()}",
        "http_listen": f"127.0.0.1:{free_port()}",
        **server,
    }
    lines = ['mode = "demo"', "[server]", *(f'{name} = "{value}"' for name, value in values.items())]
    (folder / "certwright.toml").write_text("\n".join(lines) + "\n")
    return load(folder / "certwright.toml")


def address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    return host, int(port)


@dataclass
class Process:
    """A process of ours under test."""

    popen: subprocess.Popen[bytes]
    log: Path
    listen: tuple[str, int]

    @property
    def url(self) -> str:
        return f"http://{self.listen[0]}:{self.listen[1]}"

    def exchange(self, raw: bytes, wait: float = 5.0) -> bytes:
        """Sends bytes as they are, answers everything that comes until the server closes or `wait` is over."""
        with socket.create_connection(self.listen, timeout=wait) as connection:
            connection.sendall(raw)
            return self.drain(connection)

    @staticmethod
    def drain(connection: socket.socket) -> bytes:
        seen = b""
        try:
            while chunk := connection.recv(65536):
                seen += chunk
        except TimeoutError:
            pass
        return seen


@contextmanager
def running(code: str, config: Path, listen: str) -> Iterator[Process]:
    """Runs Python code with `config` loaded, waits until it listens, stops it by SIGTERM."""
    program = "; ".join(
        (
            "from ca import config, logs",
            "logs.configure('test')",
            f"config = config.load({str(config)!r})",
            code,
        )
    )
    log = config.parent / f"log-{secrets.token_hex(4)}"
    environment = {k: v for k, v in os.environ.items() if k != "PROMETHEUS_MULTIPROC_DIR"}
    with open(log, "wb") as out:
        popen = subprocess.Popen(
            [sys.executable, "-c", program], cwd=ROOT, stdout=out, stderr=out, env=environment, start_new_session=True
        )
    process = Process(popen, log, address(listen))
    try:
        wait_for(process)
        yield process
    finally:
        popen.terminate()
        popen.wait(20)


def wait_for(process: Process) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            if b"HTTP/1." in process.exchange(b"GET /ready HTTP/1.0\r\n\r\n", 2):
                return
        except OSError:
            pass
        assert process.popen.poll() is None, process.log.read_text()
        assert time.monotonic() < deadline, process.log.read_text()
        time.sleep(0.05)
