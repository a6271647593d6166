"""`/metrics`: one exposition for a node, whichever process answers.

Counters come from files that the processes share; freshness is measured on the published bytes themselves
(INC-03). A scrape touches neither database nor HSM, so that it works while they do not.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from ipaddress import ip_address
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import structlog
from cryptography import x509

from acme_server.environ import RESOURCE
from ca.config import Config
from ca.errors import ConfigError
from ca.folder import Folder
from web.gate import Application, Environ
from web.listener import Address

if TYPE_CHECKING:
    from flask import Flask
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import GaugeMetricFamily

SHARED = "PROMETHEUS_MULTIPROC_DIR"


def prepare(config: Config) -> None:
    """Makes the folder of shared counters, unless the supervisor did. Call it before counters are imported."""
    if not os.environ.get(SHARED):
        folder = config.path(config.server.metrics_dir)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.environ[SHARED] = str(folder)


def observe(app: "Flask") -> None:
    """Has prometheus-flask-exporter time the app's requests, by URL rule: paths would be a label without bound."""
    from prometheus_client import CollectorRegistry
    from prometheus_flask_exporter import PrometheusMetrics

    app.extensions["certwright_requests"] = own = CollectorRegistry()
    PrometheusMetrics(app, path=None, group_by="url_rule", registry=own)


def timed(application: Application) -> Application:
    """The ACME door with its requests timed by resource and status, as `observe` does it for Flask's."""
    from web.counters import ACME_SECONDS

    timing = cache(ACME_SECONDS.labels)  # labels are bound once

    def around(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        began = time.perf_counter()

        def start(status: str, head: list[tuple[str, str]]) -> Any:
            timing(environ.get(RESOURCE, "none"), status[:3]).observe(time.perf_counter() - began)
            return start_response(status, head)

        return application(environ, start)

    return around


def registry(config: Config, app: "Flask | None" = None) -> "CollectorRegistry":
    """Everything that this node exposes, read anew at each collection."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.multiprocess import MultiProcessCollector

    from web import counters

    found = CollectorRegistry()
    if os.environ.get(SHARED):
        MultiProcessCollector(found)  # type: ignore[no-untyped-call]
    else:
        found.register(counters.REGISTRY)
        if app is not None:
            found.register(app.extensions["certwright_requests"])
    found.register(Observed(config))
    return found


def exposition(config: Config, accept: str, app: "Flask | None" = None) -> tuple[bytes, str]:
    """The metrics in the format that the scraper prefers, and its content type."""
    from prometheus_client.exposition import choose_encoder

    encode, kind = choose_encoder(accept)
    return encode(registry(config, app)), kind


class Observed:
    """Gauges that are read off published files when someone scrapes."""

    def __init__(self, config: Config) -> None:
        self._folder = Folder(config.path(config.ca.publication_dir))
        self._chain = config.path(config.server.tls_dir) / "current" / "chain.pem"

    def collect(self) -> "Iterable[GaugeMetricFamily]":
        """CRL freshness, the own certificate's end, and how far this node's folder is fed."""
        from prometheus_client.core import GaugeMetricFamily

        crls = GaugeMetricFamily(
            "certwright_crl_next_update_seconds",
            "nextUpdate of each published CRL, in seconds since the epoch.",
            labels=("issuer", "crl"),
        )
        for issuer, name, next_update in self._crls():
            crls.add_metric((issuer, name), next_update)
        own = GaugeMetricFamily(
            "certwright_own_certificate_expiry_seconds",
            "notAfter of the certificate of the own HTTPS doors, in seconds since the epoch.",
        )
        for expiry in self._own_expiry():
            own.add_metric((), expiry)
        fed = GaugeMetricFamily(
            "certwright_publication_seq", "Place in the publication sequence that this node's folder has reached."
        )
        fed.add_metric((), self._folder.fed)
        return (crls, own, fed)

    def _crls(self) -> Iterator[tuple[str, str, int]]:
        for file in sorted(self._folder.root.glob("crl/*/*.crl")):
            publication = self._folder.get(file.relative_to(self._folder.root).as_posix())
            if publication is not None and publication.fresh_until:  # a shard's last list ages no more
                yield file.parent.name, file.stem, publication.fresh_until

    def _own_expiry(self) -> Iterator[float]:
        try:
            yield x509.load_pem_x509_certificate(self._chain.read_bytes()).not_valid_after_utc.timestamp()
        except (OSError, ValueError):
            return


# --- the listener for hosts without HTTPS -------------------------------------------------------


class _Quiet(WSGIRequestHandler):
    timeout = 10

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
        """Says nothing: scrapes are no news."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _SixServer(_Server):
    address_family = socket.AF_INET6


def listen(config: Config) -> Callable[[], None]:
    """Opens `server.metrics_listen`, if it is set, on a thread; answers what closes it.

    One process of a node has it: where the address is taken already, nothing happens. Raises `ConfigError`
    for an address that is not loopback.
    """
    if not config.server.metrics_listen:
        return lambda: None
    address = Address.parse(config.server.metrics_listen)
    if not _is_loopback(address.host):
        raise ConfigError(
            f"server.metrics_listen {config.server.metrics_listen} is not loopback.",
            next_step="Use 127.0.0.1:PORT here, or /metrics over HTTPS with server.metrics_token_file.",
        )
    try:
        server = (_SixServer if ":" in address.host else _Server)(address, _Quiet)
    except OSError as error:
        structlog.get_logger().info("metrics.elsewhere", listen=config.server.metrics_listen, reason=error.strerror)
        return lambda: None
    server.set_app(_application(config))
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server.server_close


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _application(config: Config) -> Callable[..., Iterable[bytes]]:
    def application(environ: dict[str, str], start_response: Callable[..., object]) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/metrics" or environ["REQUEST_METHOD"] != "GET":
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"Only GET /metrics is here.\n"]
        body, kind = exposition(config, environ.get("HTTP_ACCEPT", ""))
        start_response("200 OK", [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    return application
