"""One http-01 fetch (RFC 8555 §8.3) towards a stranger's server: checked addresses, bounded time, octets and steps.

The connection goes to the very address that the policy permitted; each redirect is a new name, resolved and
checked anew. One deadline covers everything.
"""

import http.client
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from acme_server.errors import AddressDenied
from acme_server.validation.addresses import Address, AddressPolicy, policy
from acme_server.validation.resolution import Resolve, resolver
from acme_server.validation.wire import MAX_BODY, Answer, FetchFailed, Outcome, Question
from ca.config import Config
from ca.errors import BadName
from ca.names import parse_dns
from ca.records import NameKind

MAX_REDIRECTS = 10
MAX_OCTETS = 64 * 1024
"""The most that is read in one step, head and body together."""

_TRAIL = 40
_URL = re.compile(r"[\x21-\x7e]{1,2048}\Z")
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HEADERS = {"User-Agent": "certwright-validation/1", "Accept": "*/*", "Connection": "close"}


@dataclass(frozen=True)
class Target:
    """Where one step goes."""

    url: SplitResult
    host: str
    port: int

    def __str__(self) -> str:
        return self.url.geturl()[:300]


@dataclass(frozen=True)
class Fetch:
    """Fetches under one configuration; safe to share between threads."""

    addresses: AddressPolicy
    resolve: Resolve
    http_port: int
    redirect_ports: frozenset[int]

    @classmethod
    def over(cls, config: Config) -> "Fetch":
        """Raises `ConfigError` for networks or resolvers that are none."""
        validation = config.acme.validation
        ports = frozenset((80, 443, validation.http_port, validation.tls_alpn_port))
        return cls(policy(config), resolver(validation.resolvers), validation.http_port, ports)

    def get(self, question: Question) -> Answer:
        """What the host has at the challenge's URL, redirects followed; a failure is an answer too."""
        walk = _Walk(self, question, time.monotonic() + question.seconds)
        try:
            return walk.go()
        except FetchFailed as failure:
            return Answer(failure.outcome, str(failure), trail=tuple(walk.trail))


class _Walk:
    """One question on its way."""

    def __init__(self, fetch: Fetch, question: Question, deadline: float) -> None:
        self.fetch = fetch
        self.question = question
        self.deadline = deadline
        self.trail: list[str] = []

    def go(self) -> Answer:
        target = self._first()
        for _ in range(MAX_REDIRECTS + 1):
            status, location, body = self._step(target)
            if status not in _REDIRECTS or not location:
                return Answer(Outcome.FETCHED, str(target), status, body, tuple(self.trail))
            target = self._redirected(target, location)
        raise FetchFailed(Outcome.CONNECTION, f"More than {MAX_REDIRECTS} redirects.")

    def note(self, step: str) -> None:
        """Adds a step to the trail, which stays short whatever the other side does."""
        if len(self.trail) < _TRAIL:
            self.trail.append(step[:400])

    def _first(self) -> Target:
        host = f"[{self.question.value}]" if ":" in self.question.value else self.question.value
        port = "" if self.fetch.http_port == 80 else f":{self.fetch.http_port}"
        url = urlsplit(f"http://{host}{port}/.well-known/acme-challenge/{self.question.token}")
        return Target(url, self.question.value, self.fetch.http_port)

    def _redirected(self, base: Target, location: str) -> Target:
        """The target of a Location header: only http(s), only known ports, never an IP that is not the identifier."""
        try:
            if not _URL.match(location):
                raise ValueError
            url = urlsplit(urljoin(base.url.geturl(), location))
            port = url.port or _DEFAULT_PORTS[url.scheme]
        except (ValueError, KeyError):
            raise self._bad_redirect(location, "it is no URL of http or https") from None
        if port not in self.fetch.redirect_ports:
            raise self._bad_redirect(location, f"the port {port} is not one of those for validation")
        if url.username is not None or url.password is not None:
            raise self._bad_redirect(location, "it has credentials")
        target = Target(url._replace(fragment=""), self._redirect_host(url.hostname or "", location), port)
        self.note(f"redirect to {target}")
        return target

    def _redirect_host(self, host: str, location: str) -> str:
        if self.question.kind is NameKind.IP and host == self.question.value:
            return host
        try:
            name = parse_dns(host).value
            self.fetch.addresses.permit_host(name)
        except BadName:
            raise self._bad_redirect(location, "its host is no DNS name") from None
        except AddressDenied as denied:
            raise FetchFailed(Outcome.REFUSED, denied.detail) from None
        return name

    def _bad_redirect(self, location: str, why: str) -> FetchFailed:
        return FetchFailed(Outcome.CONNECTION, f"The redirect to {location[:200]!r} is not followed: {why}.")

    # --- one step -------------------------------------------------------------------------------

    def _step(self, target: Target) -> tuple[int, str, bytes]:
        """Status, Location and body (only of a final answer)."""
        connection = http.client.HTTPConnection(target.host, target.port)
        path = target.url._replace(scheme="", netloc="").geturl() or "/"
        try:
            connection.sock = self._connected(target)
            connection.request("GET", path, headers={**_HEADERS, "Host": target.url.netloc})
            response = connection.getresponse()
            location = response.getheader("Location", "") if response.status in _REDIRECTS else ""
            body = b"" if location else response.read(min(self.question.limit, MAX_BODY) + 1)
        except (http.client.HTTPException, ValueError) as error:
            raise FetchFailed(Outcome.CONNECTION, f"{target} gave no HTTP answer: {_words(error)}.") from None
        except TimeoutError:
            raise FetchFailed(Outcome.CONNECTION, f"{target} did not answer in time.") from None
        except OSError as error:
            raise FetchFailed(Outcome.CONNECTION, f"{target} broke off: {_words(error)}.") from None
        finally:
            connection.close()
        self.note(f"{target} answered {response.status}")
        return response.status, location, body

    def _connected(self, target: Target) -> socket.socket:
        plain = self._reach(target)
        if target.url.scheme == "http":
            return plain
        try:
            plain.settimeout(_left(self.deadline))
            named = None if _is_address(target.host) else target.host
            secured = _tls().wrap_socket(plain, server_hostname=named)
        except (OSError, ValueError) as error:
            plain.close()
            raise FetchFailed(Outcome.TLS, f"{target}: no TLS, {_words(error)}.") from None
        assert isinstance(secured, _TLS)
        secured.begin(self.deadline)
        return secured

    def _reach(self, target: Target) -> socket.socket:
        """A connection to the first address that is permitted and answers; each gets its share of the time."""
        failure = FetchFailed(Outcome.CONNECTION, f"No address of {target.host} answered.")
        found = self._addresses(target)
        for place, address in enumerate(found):
            try:
                self.fetch.addresses.permit(address, target.port)
                return self._connect(address, target, _left(self.deadline) / (len(found) - place))
            except AddressDenied as denied:
                failure = FetchFailed(Outcome.REFUSED, denied.detail, next_step=denied.next_step)
                self.note(f"{target.host} is at {address}: denied")
            except OSError as error:
                words = "no answer in time" if isinstance(error, TimeoutError) else _words(error)
                failure = FetchFailed(Outcome.CONNECTION, f"{target.host} at {address}, port {target.port}: {words}.")
                self.note(f"{target.host} is at {address}: {words}")
        raise failure

    def _connect(self, address: Address, target: Target, seconds: float) -> "_Plain":
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        channel = _Plain(family, socket.SOCK_STREAM)
        try:
            channel.settimeout(seconds)
            channel.connect((str(address), target.port))
        except OSError:
            channel.close()
            raise
        channel.begin(self.deadline)
        self.note(f"{target.host} is at {address}: connected")
        return channel

    def _addresses(self, target: Target) -> Sequence[Address]:
        if _is_address(target.host):
            return [ipaddress.ip_address(target.host)]
        return self.fetch.resolve(target.host, self.deadline)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise FetchFailed(Outcome.CONNECTION, "The time for this challenge is over.")
    return left


def _words(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).partition("\n")[0][:200].rstrip(".")


# --- sockets that count -------------------------------------------------------------------------


class _Metered:
    """A socket whose every read keeps to one deadline and one count of octets, however slowly it drips."""

    deadline = 0.0
    octets = 0

    def begin(self, deadline: float) -> None:
        self.deadline = deadline
        self.octets = MAX_OCTETS

    def recv_into(self, *arguments: Any) -> int:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.settimeout(left)  # type: ignore[attr-defined]
        count: int = super().recv_into(*arguments)  # type: ignore[misc]
        self.octets -= count
        if self.octets < 0:
            raise http.client.HTTPException(f"more than {MAX_OCTETS} octets")
        return count


class _Plain(_Metered, socket.socket):
    pass


class _TLS(_Metered, ssl.SSLSocket):
    pass


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """For redirects to https: the certificate is not looked at, it may be the one that is about to be replaced."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.sslsocket_class = _TLS
    return context
