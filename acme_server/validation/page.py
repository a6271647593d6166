"""One http-01 fetch (RFC 8555 §8.3) towards a stranger's server, redirects followed.

Each redirect is a new name, resolved and checked anew, and one deadline covers everything.
"""

import http.client
import re
import ssl
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import SplitResult, urljoin, urlsplit

from acme_server.errors import AddressDenied
from acme_server.validation.causes import Cause
from acme_server.validation.reach import Plain, Reach, Secured, is_address
from acme_server.validation.trail import Trail, words
from acme_server.validation.wire import MAX_BODY, Answer, Deed, FetchFailed, PageQuestion
from ca.errors import BadName
from ca.names import parse_dns
from ca.records import NameKind

MAX_REDIRECTS = 10

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
class Walk:
    """One question on its way: from `port` of the host over redirects to no other ports than `ports`."""

    reach: Reach
    question: PageQuestion
    trail: Trail
    port: int
    ports: frozenset[int]

    def go(self) -> Answer:
        """What stands at the end of all redirects. Raises `FetchFailed`."""
        target = self._first()
        for _ in range(MAX_REDIRECTS + 1):
            status, location, body = self._step(target)
            if status not in _REDIRECTS or not location:
                return self.trail.answer(str(target), status=status, body=body)
            target = self._redirected(target, location)
        raise self.trail.failure(Cause.REDIRECTS, str(target), f"more than {MAX_REDIRECTS} redirects")

    def _first(self) -> Target:
        host = f"[{self.question.value}]" if ":" in self.question.value else self.question.value
        port = "" if self.port == 80 else f":{self.port}"
        url = urlsplit(f"http://{host}{port}/.well-known/acme-challenge/{self.question.token}")
        return Target(url, self.question.value, self.port)

    # --- redirects ------------------------------------------------------------------------------

    def _redirected(self, base: Target, location: str) -> Target:
        """The target of a Location header: only http(s), only known ports, never an IP that is not the identifier."""
        try:
            if not _URL.match(location):
                raise ValueError
            url = urlsplit(urljoin(base.url.geturl(), location))
            port = url.port or _DEFAULT_PORTS[url.scheme]
        except (ValueError, KeyError):
            raise self._bad_redirect(base, location, "it is no URL of http or https") from None
        if port not in self.ports:
            raise self._bad_redirect(base, location, f"the port {port} is not one of those for validation")
        if url.username is not None or url.password is not None:
            raise self._bad_redirect(base, location, "it has credentials")
        target = Target(url._replace(fragment=""), self._redirect_host(base, url.hostname or "", location), port)
        self.trail.note(Deed.REDIRECT, str(base), "followed", f"to {target}")
        self.trail.redirected()
        return target

    def _redirect_host(self, base: Target, host: str, location: str) -> str:
        if self.question.kind is NameKind.IP and host == self.question.value:
            return host
        try:
            name = parse_dns(host).value
            self.reach.addresses.permit_host(name)
        except BadName:
            raise self._bad_redirect(base, location, "its host is no DNS name") from None
        except AddressDenied as denied:
            raise self.trail.failure(Cause.ADDRESS_DENIED, str(base), denied.detail) from None
        return name

    def _bad_redirect(self, base: Target, location: str, why: str) -> FetchFailed:
        detail = f"the redirect to {location[:200]!r} is not followed: {why}"
        self.trail.note(Deed.REDIRECT, str(base), "not followed", detail)
        return self.trail.failure(Cause.BAD_REDIRECT, str(base), detail, why=why)

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
            raise self._broken(Cause.NO_HTTP, target, "no HTTP answer", error) from None
        except TimeoutError as error:
            raise self._broken(Cause.ANSWER_LATE, target, "no answer in time", error) from None
        except OSError as error:
            raise self._broken(Cause.BROKEN_OFF, target, "broken off", error) from None
        finally:
            connection.close()
        self.trail.note(Deed.REQUEST, str(target), str(response.status), f"{len(body)} octets read")
        return response.status, location, body

    def _broken(self, cause: Cause, target: Target, outcome: str, error: Exception) -> FetchFailed:
        self.trail.note(Deed.REQUEST, str(target), outcome, words(error))
        return self.trail.failure(cause, str(target), f"{target}: {words(error)}")

    def _connected(self, target: Target) -> Plain | Secured:
        plain = self.reach.connect(target.host, target.port, self.trail)
        if target.url.scheme == "http":
            return plain
        name = None if is_address(target.host) else target.host
        return self.reach.secure(plain, _context(), name, str(target), self.trail)


@lru_cache(maxsize=1)
def _context() -> ssl.SSLContext:
    """For redirects to https: the certificate is not looked at, it may be the one that is about to be replaced."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.sslsocket_class = Secured
    return context
