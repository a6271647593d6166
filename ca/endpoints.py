"""Addresses, networks and URLs as a configuration writes them, refused where it is read.

Each type stays the text that was written: what listens or connects parses it again, and finds nothing new.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")


def _listen(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not _is_host(host) or not _is_port(port):
        raise ValueError(f"{text!r} is no address to listen on: write HOST:PORT or [IPV6]:PORT")
    return text


def _resolver(text: str) -> str:
    host, _, port = text.rpartition(":") if "]:" in text or text.count(":") == 1 else (text, "", "53")
    if not _is_address(host.strip("[]")) or not _is_port(port):
        raise ValueError(f"{text!r} is no DNS server: write addresses like 10.0.0.53:53 or [fd00::53]:53")
    return text


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is no network: write it like 10.0.0.0/8 or 2001:db8::/32") from None
    return text


def _origin(text: str) -> str:
    found = _url(text, "https")
    if found.path or found.query or found.fragment:
        raise ValueError(f"{text!r} is more than a scheme, a host and a port: write https://HOST or https://HOST:PORT")
    return text


def _plain(text: str) -> str:
    found = _url(text, "http")
    if found.path.endswith("/") or found.query or found.fragment:
        raise ValueError(f"{text!r} has a part that no certificate can name: write http://HOST:PORT, without a slash")
    return text


def _page(text: str) -> str:
    _url(text, "https", "http")
    return text


def _database(text: str) -> str:
    """Its words never repeat the text: a password may stand in it."""
    kind, slashes, rest = text.partition("://")
    if kind not in ("sqlite", "postgresql") or not slashes or not rest.lstrip("/"):
        raise ValueError("this is no database: write sqlite:///PATH or postgresql://USER@HOST/NAME")
    if kind == "sqlite" and not rest.startswith("/"):
        raise ValueError("this names a host: write three slashes before the path, sqlite:///PATH")
    return text


def _url(text: str, *schemes: str) -> SplitResult:
    try:
        found = urlsplit(text)
        sound = found.scheme in schemes and _is_host(_bracketed(found.hostname or "")) and found.port != 0
    except ValueError:
        sound = False
    if not sound or found.username is not None or re.search(r"[\s\x00-\x1f]", text):
        raise ValueError(f"{text!r} is no URL: write {schemes[0]}://HOST or {schemes[0]}://HOST:PORT")
    return found


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_host(text: str) -> bool:
    """A name, an IPv4 address, or an IPv6 address in brackets."""
    if text.startswith("["):
        return text.endswith("]") and _is_address(text[1:-1])
    return bool(_HOST.fullmatch(text)) and (_is_address(text) or not re.fullmatch(r"[\d.]+", text))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) <= 65535


def is_private(url: str) -> bool:
    """Whether what is sent to this `Page` is read by nobody on the way: over https, or on this machine."""
    return bool(re.match(r"(?i)https:|http://(localhost|127(\.\d+){3}|\[::1\])([:/]|$)", url))


Listen = Annotated[str, AfterValidator(_listen)]
"""`127.0.0.1:8443`, `[::1]:8443` or `localhost:8443`."""

Resolver = Annotated[str, AfterValidator(_resolver)]
"""The address of a DNS server; port 53 without one."""

Network = Annotated[str, AfterValidator(_network)]
"""A network in CIDR, or one address."""

Origin = Annotated[str, AfterValidator(_origin)]
"""`https://HOST[:PORT]`, nothing behind it: every JWS url begins with it."""

PlainURL = Annotated[str, AfterValidator(_plain)]
"""`http://HOST[:PORT]`, perhaps with a path: certificates name it for OCSP and CRLs."""

Page = Annotated[str, AfterValidator(_page)]
"""A URL for people or other services."""

DatabaseURL = Annotated[str, AfterValidator(_database)]
"""SQLite's file or PostgreSQL's database."""


def _if_any(check: Callable[[str], str]) -> AfterValidator:
    return AfterValidator(lambda text: check(text) if text else text)


ListenIfAny = Annotated[str, _if_any(_listen)]
OriginIfAny = Annotated[str, _if_any(_origin)]
PageIfAny = Annotated[str, _if_any(_page)]
DatabaseURLIfAny = Annotated[str, _if_any(_database)]
"""The same, where the empty text means none."""
