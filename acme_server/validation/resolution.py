"""Names to addresses, by dnspython: the configured resolvers, else the machine's. No search list, no hosts file.

Names under `.localhost` are loopback without asking anyone (RFC 6761 §6.3), unless resolvers are configured.
"""

import ipaddress
import time
from collections.abc import Callable, Sequence

import dns.exception
import dns.nameserver
import dns.resolver

from acme_server.validation.addresses import Address
from acme_server.validation.wire import FetchFailed, Outcome
from ca.errors import ConfigError

Resolve = Callable[[str, float], list[Address]]
"""The addresses of a host name, in the order in which to try them; the second argument is a monotonic deadline."""

_LOOPBACK: list[Address] = [ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1")]
_MOST = 8


def resolver(servers: Sequence[str]) -> Resolve:
    """A resolver that asks these servers (`host:port`; none: the machine's). Raises `ConfigError`."""
    asked = _asking(servers)

    def resolve(host: str, deadline: float) -> list[Address]:
        """Raises `FetchFailed` when there is no address, or none in time."""
        if not servers and (host == "localhost" or host.endswith(".localhost")):
            return _LOOPBACK
        found = [address for kind in ("AAAA", "A") for address in _query(asked, host, kind, deadline)]
        if not found:
            raise FetchFailed(Outcome.DNS, f"{host} has neither an A nor an AAAA record.")
        return found[:_MOST]

    return resolve


def _asking(servers: Sequence[str]) -> dns.resolver.Resolver:
    try:
        asked = dns.resolver.Resolver(configure=not servers)
        if servers:
            asked.nameservers = [_server(text) for text in servers]
    except (dns.exception.DNSException, ValueError, OSError) as error:
        raise ConfigError(
            f"acme.validation.resolvers: {error}.", next_step="Write addresses like 10.0.0.53:53 or [fd00::53]:53."
        ) from None
    asked.search = []
    return asked


def _server(text: str) -> dns.nameserver.Nameserver:
    host, _, port = text.rpartition(":") if "]:" in text or text.count(":") == 1 else (text, "", "53")
    return dns.nameserver.Do53Nameserver(str(ipaddress.ip_address(host.strip("[]"))), int(port))


def _query(asked: dns.resolver.Resolver, host: str, kind: str, deadline: float) -> list[Address]:
    seconds = max(deadline - time.monotonic(), 0.01)
    try:
        answer = asked.resolve(f"{host}.", kind, raise_on_no_answer=False, lifetime=seconds, search=False)
    except dns.resolver.NXDOMAIN:
        raise FetchFailed(Outcome.DNS, f"There is no name {host} (NXDOMAIN).") from None
    except dns.resolver.LifetimeTimeout:
        raise FetchFailed(Outcome.DNS, f"The DNS did not answer in time for {host} {kind}.") from None
    except dns.exception.DNSException as error:
        raise FetchFailed(Outcome.DNS, f"The DNS cannot tell {host} {kind}: {_words(error)}.") from None
    return [ipaddress.ip_address(record.address) for record in answer.rrset or ()]


def _words(error: Exception) -> str:
    return str(error).partition("\n")[0][:200].rstrip(".")
