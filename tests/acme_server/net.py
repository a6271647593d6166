"""A small world of strangers on loopback: a DNS server with a zone, and sites that answer whatever a test wants."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Reply = Callable[[socket.socket, bytes], None]
SILENT = "SILENT"
SERVFAIL = "SERVFAIL"


class Zone:
    """A DNS server on UDP and TCP, and nobody's recursive one.

    `names` maps a host to its addresses, `texts` to its TXT records, `aliases` to the target of its CNAME (which is
    answered alone, if the target is not here); no entry is NXDOMAIN. `wire` lets a test answer with any octets.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.names: dict[str, list[str]] = {}
        self.texts: dict[str, list[str]] = {}
        self.records: dict[tuple[str, str], list[str]] = {}
        self.aliases: dict[str, str] = {}
        self.asked: list[str] = []
        self.wire: Callable[[bytes], bytes | None] = self._answer
        self._tcp, self._udp = _bound(host, port)
        self.port: int = self._udp.getsockname()[1]
        self.address = f"{host}:{self.port}"
        for serve in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    def _serve_udp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, peer = self._udp.recvfrom(4096)
                answer = self.wire(data)
                if answer is not None:
                    self._udp.sendto(_truncated(answer) if len(answer) > 512 else answer, peer)

    def _serve_tcp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                channel, _ = self._tcp.accept()
                with contextlib.suppress(OSError), channel:
                    channel.settimeout(5)
                    answer = self.wire(channel.recv(4096)[2:])
                    if answer is not None:
                        channel.sendall(len(answer).to_bytes(2, "big") + answer)

    def _answer(self, data: bytes) -> bytes | None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        host = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append(f"{host} {kind}")
        answer = dns.message.make_response(query)
        if self.names.get(host) == [SILENT]:
            return None
        code = self._fill(answer, host, kind)
        answer.set_rcode(code)
        return answer.to_wire(max_size=65535)

    def _fill(self, answer: dns.message.Message, host: str, kind: str) -> dns.rcode.Rcode:
        if self.names.get(host) == [SERVFAIL]:
            return dns.rcode.SERVFAIL
        while host in self.aliases:
            answer.answer.append(dns.rrset.from_text(f"{host}.", 60, "IN", "CNAME", f"{self.aliases[host]}."))
            host = self.aliases[host]
            if len(answer.answer) > 20:
                return dns.rcode.NOERROR
        found = self._found(host, kind)
        if found:
            answer.answer.append(dns.rrset.from_text(f"{host}.", 60, "IN", kind, *found))
        known = host in self.names or host in self.texts or any(name == host for name, _ in self.records)
        return dns.rcode.NOERROR if known or answer.answer else dns.rcode.NXDOMAIN

    def _found(self, host: str, kind: str) -> list[str]:
        if kind == "TXT" and host in self.texts:
            return [_quoted(text) for text in self.texts[host]]
        if kind in ("A", "AAAA"):
            return [one for one in self.names.get(host, []) if (":" in one) == (kind == "AAAA")]
        return self.records.get((host, kind), [])

    def close(self) -> None:
        self._udp.close()
        self._tcp.close()


def _bound(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """A TCP and a UDP socket at one port."""
    tcp, udp = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    tcp.bind((host, port))
    tcp.listen(64)
    udp.bind((host, tcp.getsockname()[1]))
    return tcp, udp


def _truncated(answer: bytes) -> bytes:
    """The head of an answer that says: ask by TCP."""
    query = dns.message.from_wire(answer)
    short = dns.message.Message(query.id)
    short.flags = query.flags | dns.flags.TC
    short.question = query.question
    return short.to_wire()


def _quoted(text: str) -> str:
    """TXT data in strings of at most 255 octets."""
    parts = [text[place : place + 255] for place in range(0, len(text), 255)] or [""]
    return " ".join('"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"' for part in parts)


@contextmanager
def zone() -> Iterator[Zone]:
    """One DNS server for the length of a test."""
    one = Zone()
    try:
        yield one
    finally:
        one.close()


class Site:
    """A TCP server that reads a request's head and lets `reply` answer. `requests` are the heads that came."""

    def __init__(
        self, reply: Reply, host: str = "127.0.0.1", context: ssl.SSLContext | None = None, port: int = 0
    ) -> None:
        self.reply = reply
        self.requests: list[str] = []
        self._context = context
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((host, port))
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
def site(reply: Reply, host: str = "127.0.0.1", context: ssl.SSLContext | None = None, port: int = 0) -> Iterator[Site]:
    """One site for the length of a test."""
    one = Site(reply, host, context, port)
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


class Responder(Site):
    """A TLS server for tls-alpn-01: `certificates` are PEM files (with key) by SNI, `hellos` the names that came."""

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        self.certificates: dict[str, Path] = {}
        self.protocols = ["acme-tls/1"]
        self.hellos: list[str | None] = []
        outer = tls_context(folder)
        outer.sni_callback = self._choose
        super().__init__(silence, host, outer)

    def _choose(self, channel: ssl.SSLObject, name: str | None, _outer: ssl.SSLContext) -> int | None:
        self.hellos.append(name)
        if name not in self.certificates:
            return int(ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificates[name])
        context.set_alpn_protocols(self.protocols)
        channel.context = context
        return None


def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
