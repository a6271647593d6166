"""What holds for every request, whichever door: its id, its bounds, the asker's address, headers and the log line.

This is the one place that logs requests.
"""

import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

import structlog
from flask import Flask, Response, abort, g, request

from acme_server.environ import ACTOR, REFUSED, REQUEST_ID
from ca.config import Config
from ca.errors import ConfigError
from web.gate import Application, Environ

ID_HEADER = "X-Request-Id"
_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")

QUIET = frozenset({"/health", "/ready", "/metrics"})
"""Asked every few seconds by machines: logged only when they fail."""

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""For every answer that does not set its own."""

STRICT_TRANSPORT = {"Strict-Transport-Security": "max-age=31536000"}
"""In production only: browsers keep it by host for all ports, and a demo shares `localhost` with everyone's work."""

Network = IPv4Network | IPv6Network


def install(app: Flask, config: Config) -> None:
    """Puts it all around the app, whatever face answers."""
    headers = {**SECURITY_HEADERS, **(STRICT_TRANSPORT if config.mode == "production" else {})}
    proxied = Proxied(Around(app.wsgi_app, headers), networks(config.server.trusted_proxies))
    app.wsgi_app = proxied  # type: ignore[method-assign]
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    """What Flask's views find in `g`; a request that the gate refused gets no further."""
    g.request_id = request.environ[REQUEST_ID]
    if REFUSED in request.environ:
        abort(request.environ[REFUSED])


def _end(response: Response) -> Response:
    if "actor" in g:
        request.environ[ACTOR] = str(g.actor)
    return response


class Around:
    """WSGI middleware: gives the request its id, the answer its headers, and the log its line."""

    def __init__(self, application: Application, headers: Mapping[str, str]) -> None:
        self._application = application
        self._headers = tuple((name, name.lower(), value) for name, value in headers.items())

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Goes on, and adds to the head of the answer."""
        began = time.perf_counter()
        given = environ.get("HTTP_X_REQUEST_ID", "")
        own = environ[REQUEST_ID] = given if _ID.fullmatch(given) else secrets.token_hex(16)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=own)

        def start(status: str, head: list[tuple[str, str]], *exc_info: Any) -> Any:
            named = {name.lower() for name, _ in head}
            more = [(name, value) for name, lower, value in self._headers if lower not in named]
            _log(environ, int(status[:3]), time.perf_counter() - began)
            return start_response(status, [*head, *more, (ID_HEADER, own)], *exc_info)

        return self._application(environ, start)


def _log(environ: Environ, status: int, seconds: float) -> None:
    path = environ["PATH_INFO"]
    if path in QUIET and status < 500:
        return
    structlog.get_logger().info(
        "request",
        method=environ["REQUEST_METHOD"],
        path=path.encode("latin-1").decode(errors="replace"),
        status=status,
        milliseconds=round(seconds * 1000, 1),
        client=environ.get("REMOTE_ADDR", ""),
        actor=environ.get(ACTOR, ""),
    )


# --- the asker's address ------------------------------------------------------------------------


def networks(texts: list[str]) -> tuple[Network, ...]:
    """The networks of `server.trusted_proxies`. Raises `ConfigError`."""
    try:
        return tuple(ip_network(text) for text in texts)
    except ValueError as error:
        raise ConfigError(
            f"server.trusted_proxies: {error}.", next_step="Write networks such as 10.0.0.0/8 or 192.0.2.7/32."
        ) from None


class Proxied:
    """WSGI middleware: puts the asker's own address into REMOTE_ADDR when trusted proxies forwarded the request.

    X-Forwarded-For is read from the right, over trusted hops only; from anyone else it is not believed.
    `DIRECT` in the environ says whether the request came straight from its asker.
    """

    def __init__(self, application: Application, trusted: tuple[Network, ...]) -> None:
        self._application = application
        self._trusted = trusted

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Rewrites the environ and goes on."""
        forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")
        environ[DIRECT] = not forwarded and "HTTP_FORWARDED" not in environ
        if forwarded:
            environ["REMOTE_ADDR"] = client_address(environ.get("REMOTE_ADDR", ""), forwarded, self._trusted)
        return self._application(environ, start_response)


DIRECT = "certwright.direct"


def client_address(peer: str, forwarded: str, trusted: tuple[Network, ...]) -> str:
    """The nearest address that is not a trusted proxy; the last readable one when a hop cannot be read."""
    address = peer
    hops = [hop.strip() for hop in forwarded.split(",")]
    while hops and _within(address, trusted):
        hop = hops.pop()
        if not _readable(hop):
            return address
        address = hop
    return address


def _within(address: str, trusted: tuple[Network, ...]) -> bool:
    return _readable(address) and any(ip_address(address) in network for network in trusted)


def _readable(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def from_loopback() -> bool:
    """Whether the request came straight from this machine: a proxy's forwarded request never counts."""
    address = request.remote_addr or ""
    return bool(request.environ.get(DIRECT)) and _readable(address) and ip_address(address).is_loopback
