"""What the DNS says, by dnspython: from the configured resolvers, else the machine's. No search list, no hosts file.

A zone of `acme.validation.zone_resolvers` is asked for at its own servers (split horizon); the longest zone counts.
A CNAME is followed also where a server leaves its target to others. Large answers come by TCP.

Names under `.localhost` are loopback without asking anyone (RFC 6761 §6.3), unless resolvers are configured for them.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.name
import dns.nameserver
import dns.resolver

from acme_server.validation.addresses import Address
from acme_server.validation.causes import Cause
from acme_server.validation.trail import Trail, words
from acme_server.validation.wire import Deed, FetchFailed
from ca.config import Validation
from ca.errors import BadName, ConfigError
from ca.names import parse_dns

_LOOPBACK: list[Address] = [ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1")]
_LOCALHOST = dns.name.from_text("localhost.")
_MOST = 8
_CNAMES = 8


class Resolver:
    """Asks under one configuration; safe to share between threads."""

    def __init__(self, servers: Sequence[str] = (), zones: Mapping[str, Sequence[str]] | None = None) -> None:
        """`servers` are `host:port`; none: the machine's. Raises `ConfigError`."""
        self._asked = _asking(servers, "resolvers")
        self._zones = _by_zone(zones or {})
        self._localhost_is_asked = bool(servers)

    @classmethod
    def over(cls, validation: Validation) -> "Resolver":
        """The resolver of a configuration. Raises `ConfigError`."""
        return cls(validation.resolvers, validation.zone_resolvers)

    def addresses(self, host: str, trail: Trail) -> list[Address]:
        """Where a host is, in the order in which to try. Raises `FetchFailed` when there is nothing, or not in time."""
        if self._is_loopback(_name(host, trail)):
            return _LOOPBACK
        records = [one for kind in ("AAAA", "A") for one in self._records(host, kind, trail)]
        if not records:
            raise trail.failure(Cause.NO_ADDRESS, host)
        return [ipaddress.ip_address(one.address) for one in records[:_MOST]]

    def texts(self, host: str, trail: Trail) -> tuple[bytes, ...]:
        """The TXT records of a name, the strings of each put together. Raises `FetchFailed`."""
        return tuple(b"".join(one.strings) for one in self._records(host, "TXT", trail))

    def authorities(self, host: str, trail: Trail) -> tuple[str, list[Any]]:
        """The CAA records of a name, or of the nearest above it, and where they are. Raises `FetchFailed`."""
        labels = host.split(".")
        for start in range(len(labels)):
            name = ".".join(labels[start:])
            if self._is_loopback(_name(name, trail)):
                break
            try:
                records = self._records(name, "CAA", trail)
            except FetchFailed as failure:
                if failure.cause is not Cause.NO_SUCH_NAME:
                    raise
                continue
            if records:
                return name, records
        return host, []

    def _is_loopback(self, name: dns.name.Name) -> bool:
        if self._localhost_is_asked or not name.is_subdomain(_LOCALHOST):
            return False
        return self._for(name) is self._asked

    def _for(self, name: dns.name.Name) -> dns.resolver.Resolver:
        """Who is asked for a name: the resolvers of the longest zone that holds it."""
        return next((asked for zone, asked in self._zones if name.is_subdomain(zone)), self._asked)

    def _records(self, host: str, kind: str, trail: Trail) -> list[Any]:
        """The records at the end of all CNAMEs; none if the name has none of the kind."""
        ask = _Ask(host, kind, trail)
        name = _name(host, trail)
        for _ in range(_CNAMES):
            records, name = self._query(name, ask)
            if records or not name:
                return records
        raise trail.failure(Cause.ALIASES, host, f"more than {_CNAMES} aliases, the last of them {name}")

    def _query(self, name: dns.name.Name, ask: "_Ask") -> tuple[list[Any], Any]:
        """Records, or the alias that is still to be followed, or neither."""
        asked = self._for(name)
        try:
            answer = asked.resolve(
                name, ask.kind, raise_on_no_answer=False, lifetime=ask.trail.left(ask.host), search=False
            )
        except dns.resolver.NXDOMAIN as error:
            alias = error.canonical_name
            if alias != name and self._for(alias) is not asked:
                return [], alias
            ask.note("no such name", name, _servers(asked))
            raise ask.trail.failure(Cause.NO_SUCH_NAME, ask.host, f"NXDOMAIN for {alias}") from None
        except (dns.exception.DNSException, OSError, EOFError, ValueError) as error:
            raise ask.unanswered(error, name, asked) from None
        records = list(answer.rrset or ())
        shown = ", ".join(map(str, records[:_MOST]))
        ask.note(f"{len(records)} records", answer.canonical_name, f"{answer.nameserver}, port {answer.port}: {shown}")
        return records, None if answer.canonical_name == name else answer.canonical_name


@dataclass(frozen=True)
class _Ask:
    """The records of a kind that a host is asked for, and where that is noted."""

    host: str
    kind: str
    trail: Trail

    def note(self, outcome: str, name: dns.name.Name, detail: str) -> None:
        """Notes what came of asking for a name, which may be an alias of the host."""
        text = name.to_text(omit_final_dot=True)
        alias = "" if text == self.host else f"alias {text}, "
        self.trail.note(Deed.RESOLVE, f"{self.host} {self.kind}", outcome, f"{alias}{detail}")

    def unanswered(self, error: Exception, name: dns.name.Name, asked: dns.resolver.Resolver) -> FetchFailed:
        """Notes that nobody answers, or nobody in time or in form, and answers the failure."""
        late = isinstance(error, dns.resolver.LifetimeTimeout)
        self.note("no answer in time" if late else "no answer", name, f"{_servers(asked)}: {words(error)}")
        cause = Cause.DNS_LATE if late else Cause.DNS_FAILED
        return self.trail.failure(cause, f"{self.host} {self.kind}", words(error))


def _servers(asked: dns.resolver.Resolver) -> str:
    return ", ".join(map(str, asked.nameservers))


def _name(host: str, trail: Trail) -> dns.name.Name:
    """Raises `FetchFailed` for what the DNS has no room for, such as a long name behind a label."""
    try:
        return dns.name.from_text(f"{host}.")
    except dns.exception.DNSException as error:
        raise trail.failure(Cause.NO_SUCH_NAME, host, words(error)) from None


# --- from the configuration ---------------------------------------------------------------------


def _by_zone(zones: Mapping[str, Sequence[str]]) -> list[tuple[dns.name.Name, dns.resolver.Resolver]]:
    made = [(_zone(zone), _asking(servers, f"zone_resolvers of {zone}", own=False)) for zone, servers in zones.items()]
    return sorted(made, key=lambda one: len(one[0]), reverse=True)


def _zone(text: str) -> dns.name.Name:
    try:
        return dns.name.from_text(f"{parse_dns(text).value}.")
    except BadName as error:
        raise ConfigError(f"acme.validation.zone_resolvers: {error.detail}") from None


def _asking(servers: Sequence[str], key: str, own: bool = True) -> dns.resolver.Resolver:
    """A resolver that asks these servers; without any the machine's, if `own`."""
    try:
        if not (servers or own):
            raise ValueError("it names no server")
        asked = dns.resolver.Resolver(configure=not servers)
        if servers:
            asked.nameservers = [_server(text) for text in servers]
    except (dns.exception.DNSException, ValueError, OSError) as error:
        raise ConfigError(
            f"acme.validation.{key}: {error}.", next_step="Write addresses like 10.0.0.53:53 or [fd00::53]:53."
        ) from None
    asked.search = []
    return asked


def _server(text: str) -> dns.nameserver.Nameserver:
    host, _, port = text.rpartition(":") if "]:" in text or text.count(":") == 1 else (text, "", "53")
    return dns.nameserver.Do53Nameserver(str(ipaddress.ip_address(host.strip("[]"))), int(port))
