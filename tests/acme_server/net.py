"""A small world of strangers on loopback: a DNS server with a zone, and sites that answer whatever a test wants."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Reply = Callable[[socket.socket, bytes], None]
SILENT = "SILENT"
SERVFAIL = "SERVFAIL"


class Zone:
    """A DNS server on UDP. `names` maps a host to its addresses; no entry is NXDOMAIN."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, peer = self._socket.recvfrom(4096)
                if answer := self._answer(dns.message.from_wire(data)):
                    self._socket.sendto(answer.to_wire(), peer)

    def _answer(self, query: dns.message.Message) -> dns.message.Message | None:
        question = query.question[0]
        host = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append(f"{host} {kind}")
        answer = dns.message.make_response(query)
        found = self.names.get(host)
        if found == [SILENT]:
            return None
        if found is None or found == [SERVFAIL]:
            answer.set_rcode(dns.rcode.SERVFAIL if found else dns.rcode.NXDOMAIN)
            return answer
        wanted = [one for one in found if (":" in one) == (kind == "AAAA")]
        if wanted:
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *wanted))
        return answer

    def close(self) -> None:
        self._socket.close()


class Site:
    """A TCP server that reads a request's head and lets `reply` answer. `requests` are the heads that came."""

    def __init__(self, reply: Reply, host: str = "127.0.0.1", context: ssl.SSLContext | None = None) -> None:
        self.reply = reply
        self.requests: list[str] = []
        self._context = context
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((host, 0))
        self._socket.listen(64)
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                channel, _ = self._socket.accept()
                threading.Thread(target=self._one, args=(channel,), daemon=True).start()

    def _one(self, channel: socket.socket) -> None:
        with contextlib.suppress(OSError), channel:
            if self._context:
                channel = self._context.wrap_socket(channel, server_side=True)
            head = b""
            while b"\r\n\r\n" not in head and (part := channel.recv(4096)):
                head += part
            self.requests.append(head.decode("latin-1"))
            self.reply(channel, head)
            channel.close()

    def close(self) -> None:
        self._socket.close()


def page(body: bytes, status: str = "200 OK", *headers: str) -> Reply:
    """An ordinary answer with a length."""
    head = "\r\n".join((f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers))
    return lambda channel, _: channel.sendall(head.encode() + b"\r\n\r\n" + body)


def raw(data: bytes) -> Reply:
    """These octets, whatever they mean."""
    return lambda channel, _: channel.sendall(data)


def redirect(url: str, status: str = "302 Found") -> Reply:
    """An ordinary redirect."""
    return page(b"moved", status, f"Location: {url}")


def drip(data: bytes, pause: float) -> Reply:
    """One octet after another, slowly."""

    def reply(channel: socket.socket, _head: bytes) -> None:
        for place in range(len(data)):
            channel.sendall(data[place : place + 1])
            time.sleep(pause)

    return reply


def endless(data: bytes) -> Reply:
    """The same again and again, until the other side has enough."""

    def reply(channel: socket.socket, _head: bytes) -> None:
        while True:
            channel.sendall(data)

    return reply


def silence(channel: socket.socket, _head: bytes) -> None:
    """Never answers, until the other side goes away."""
    channel.recv(1)


@contextmanager
def site(reply: Reply, host: str = "127.0.0.1", context: ssl.SSLContext | None = None) -> Iterator[Site]:
    """One site for the length of a test."""
    one = Site(reply, host, context)
    try:
        yield one
    finally:
        one.close()


def tls_context(folder: Path) -> ssl.SSLContext:
    """A server's context with a self-signed certificate for another name."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "expired.test")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, start, start + datetime.timedelta(days=1))
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    (folder / "site.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "site.pem")
    return context


def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
