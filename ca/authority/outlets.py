"""Where relying parties are served: what stopwatch and probe look at from outside."""

import base64
from dataclasses import dataclass
from urllib.parse import quote

from ca import relying
from ca.authority.desk import Desk
from ca.destinations import AnyTarget, HAProxyTarget

PARTS = frozenset({"crl", "ocsp"})


@dataclass(frozen=True, slots=True)
class Outlet:
    """A status plane, or what a publication target fills: `by_get` where nobody answers a POST."""

    url: str
    parts: frozenset[str] = PARTS
    by_get: bool = False

    def answer(self, request: bytes, fetch: relying.Fetch) -> bytes:
        """What it says to an OCSP request. Raises `Unavailable`."""
        if self.by_get:
            return fetch(f"{self.url}/ocsp/{quote(base64.b64encode(request).decode(), safe='')}", b"")
        return fetch(f"{self.url}/ocsp", request)


def outlets(desk: Desk) -> tuple[Outlet, ...]:
    """Every node, or the URL that certificates name; and the targets whose URL is known."""
    server = desk.config.server
    nodes = [Outlet(url.rstrip("/")) for url in server.status_nodes or [server.status_url]]
    return (*nodes, *(outlet for one in desk.config.targets.values() for outlet in _filled(one)))


def _filled(target: AnyTarget) -> tuple[Outlet, ...]:
    if isinstance(target, HAProxyTarget) or not target.fetch_url:
        return ()
    parts = PARTS & set(target.only) if target.only else PARTS
    return (Outlet(target.fetch_url.rstrip("/"), parts, by_get=True),)
