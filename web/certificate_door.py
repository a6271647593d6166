"""The door where browsers show a TLS client certificate: a port of its own, so that nobody else is asked for one.

Each worker serves it by a few threads over one socket, which the parent binds. A connection is one request, of which
nothing but the first line is read: no header can say who somebody is. Every answer leads back to the main door.
"""

import re
import socket
import ssl
import threading
import time
from urllib.parse import urlencode

import structlog

from ca.authority import Authority, certificate_sign_on
from ca.config import Config
from ca.errors import CAError, ConfigError, Unauthenticated

AT_ONCE = 32
"""Connections that a worker serves at a time; more wait, and the other doors know nothing of it."""

SECONDS = 10.0
"""For the first octet, and again for the head of the request."""

HANDSHAKE_SECONDS = 60.0
"""Meanwhile somebody may choose a certificate and type the PIN of his card."""

HEAD = 16 * 1024
BACK = "/ui/sign-in/certificate/back"
_REQUEST = re.compile(rb"GET /sign-in\?state=([0-9a-f]{64}) HTTP/1\.[01]\r\n")


def demand_roots(config: Config) -> None:
    """Returns when the roots of `ca_file` can be read, or none are named. Raises `ConfigError`."""
    file = config.ui.client_certificates.ca_file
    try:
        if file:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cafile=config.path(file))
    except OSError as error:
        raise ConfigError(
            f"ui.client_certificates.ca_file: {file} is no PEM of certificates: {error.strerror or error.args[-1]}.",
            next_step="Name a file that the user of the web process can read.",
        ) from None


def open_door(authority: Authority, listening: socket.socket) -> None:
    """Serves the socket by threads that end with the process."""
    listening.setblocking(True)
    for number in range(AT_ONCE):
        name = f"certificate-door-{number}"
        threading.Thread(target=_serve, args=(authority, listening), name=name, daemon=True).start()


def _serve(authority: Authority, listening: socket.socket) -> None:
    while True:
        try:
            plain, peer = listening.accept()
        except OSError:  # the client has gone, or there are too many files
            time.sleep(0.1)
            continue
        with plain:
            _meet(authority, plain, str(peer[0]))


def _meet(authority: Authority, plain: socket.socket, peer: str) -> None:
    log = structlog.get_logger()
    try:
        plain.settimeout(SECONDS)
        plain.recv(1, socket.MSG_PEEK)
        plain.settimeout(HANDSHAKE_SECONDS)
        with context(authority).wrap_socket(plain, server_side=True) as secured:
            log.info("certificate.door", client=peer, outcome=_answer(authority, secured))
    except (OSError, ValueError) as error:  # such as an ssl.SSLError: a certificate that leads to no root of ours
        log.info("certificate.door", client=peer, outcome="no connection", reason=str(error)[:200])
    except Exception:  # the edge of a request
        log.exception("certificate.door_failed", client=peer)


def context(authority: Authority) -> ssl.SSLContext:
    """Made anew for each connection: issuers come and go, and so does the own certificate. No session is resumed, so
    each certificate is verified. One that is not shown is no error here, so that the browser can be told.
    """
    own = authority.own_certificate()
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    made.num_tickets = 0
    made.verify_mode = ssl.CERT_OPTIONAL
    made.load_cert_chain(own.chain, own.key)
    made.load_verify_locations(cadata=certificate_sign_on.trusted_pem(authority))
    return made


def _answer(authority: Authority, secured: ssl.SSLSocket) -> str:
    """Answers the one request; says what came of it."""
    found = _REQUEST.match(_head(secured))
    if not found:
        secured.sendall(_response("404 Not Found"))
        return "no such page"
    outcome, query = _judge(authority, found[1].decode(), secured.getpeercert(binary_form=True))
    target = f"{authority.config.server.public_url}{BACK}?{urlencode(query)}"
    secured.sendall(_response("303 See Other", f"Location: {target}\r\n"))
    return outcome


def _judge(authority: Authority, state: str, der: bytes | None) -> tuple[str, dict[str, str]]:
    if not der:
        return "no certificate", {"refused": "missing"}
    try:
        return "handed over", {"code": certificate_sign_on.hand_over(authority, state, der)}
    except Unauthenticated as error:
        return error.detail, {"refused": "unknown"}
    except CAError as error:
        return error.detail, {"refused": "unavailable"}


def _head(secured: ssl.SSLSocket) -> bytes:
    """The request's head, bounded in octets and in time. Raises `TimeoutError` and `ValueError`."""
    end, head = time.monotonic() + SECONDS, b""
    while b"\r\n\r\n" not in head:
        secured.settimeout(max(0.001, end - time.monotonic()))
        more = secured.recv(HEAD - len(head))
        if not more:
            raise ValueError("the head is cut off or too large")
        head += more
    return head


def _response(status: str, more: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\n{more}Content-Length: 0\r\nConnection: close\r\nCache-Control: no-store\r\n"
        "Referrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n"
        "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n\r\n"
    )
    return head.encode()
