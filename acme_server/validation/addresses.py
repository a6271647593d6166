"""Where validation may connect to: the one address policy (CONTRACT.md; LESSONS: Vault CVE-2026-5052).

In this order, and for every address that hides inside another (IPv4-mapped, 6to4, NAT64, SIIT, Teredo, ISATAP):

1. the deny list wins over everything: metadata services of clouds, `acme.validation.deny_networks`, and this
   product's own doors (an address together with its port);
2. `acme.validation.allow_networks` opens special ranges;
3. special ranges (loopback, link-local, documentation, multicast …) are closed;
4. private ranges (RFC 1918, RFC 4193) and the rest of the Internet are open.

The caller connects to the very address that was permitted, never to the name again.
"""

import errno
import ipaddress
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from acme_server.errors import AddressDenied
from ca.config import Config

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


METADATA = _networks(
    "169.254.169.254/32",  # AWS, Azure, Google, Oracle, OpenStack, DigitalOcean, Hetzner and others
    "169.254.169.253/32",  # AWS resolver
    "169.254.170.2/32",  # AWS container credentials
    "169.254.170.23/32",  # AWS pod identity
    "169.254.0.23/32",  # Tencent
    "169.254.42.42/32",  # Scaleway
    "100.100.100.200/32",  # Alibaba
    "168.63.129.16/32",  # Azure host
    "192.0.0.192/32",  # Oracle classic
    "fd00:ec2::254/128",  # AWS
    "fd00:ec2::253/128",  # AWS resolver
    "fd00:ec2::23/128",  # AWS pod identity
    "fd20:ce::254/128",  # Google
    "fd00:42::42/128",  # Scaleway
    "fe80::a9fe:a9fe/128",  # OpenStack
)
"""Metadata services hand out credentials to whoever asks from inside: never, whatever is configured."""

SPECIAL = _networks(
    # IANA IPv4 special-purpose registry, without RFC 1918
    "0.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    # IANA IPv6 special-purpose registry, without RFC 4193
    "::/96",
    "64:ff9b:1::/48",
    "100::/63",
    "2001::/23",
    "2001:db8::/32",
    "2620:4f:8000::/48",
    "3fff::/20",
    "5f00::/16",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
)
_IPV6_ORDINARY = _networks("2000::/3", "fc00::/7", "64:ff9b::/96")
_LAST_32 = _networks("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96", "::/96")
"""NAT64 (RFC 6052, RFC 8215), SIIT (RFC 2765) and IPv4-compatible: the last 32 bits are an IPv4 address."""

_ISATAP = (0x00005EFE, 0x02005EFE)
"""RFC 5214 §6.1: behind these 32 bits, whatever the prefix."""

_LOW_32 = 2**32 - 1
_LOOPBACK = _networks("127.0.0.0/8", "::1/128")


@dataclass(frozen=True)
class Door:
    """An address and port where this product itself listens; the unspecified address stands for all of the machine."""

    host: Address
    port: int

    def is_at(self, address: Address, port: int) -> bool:
        """Whether a connection to that address and port would arrive here."""
        if port != self.port:
            return False
        return _is_of_this_machine(address) if self.host.is_unspecified else address == self.host


@dataclass(frozen=True)
class AddressPolicy:
    """The rules of one configuration."""

    allow: Sequence[Network] = ()
    deny: Sequence[Network] = ()
    doors: Sequence[Door] = ()
    hosts: frozenset[str] = frozenset()

    def permit(self, address: Address, port: int) -> None:
        """Returns if validation may connect there. Raises `AddressDenied` with the reason."""
        for one in unwrapped(address):
            if why := self._reason(one, port):
                raise AddressDenied(f"Validation does not go to {address}: {why}.", next_step=_ADVICE)

    def permit_host(self, host: str) -> None:
        """Returns unless a redirect leads to this product's own names. Raises `AddressDenied`."""
        if host in self.hosts:
            raise AddressDenied(f"Validation does not go to {host}: it is this server itself.", next_step=_ADVICE)

    def _reason(self, address: Address, port: int) -> str:
        if _inside(address, METADATA):
            return "it is the metadata service of a cloud"
        if _inside(address, self.deny):
            return "acme.validation.deny_networks has it"
        if any(door.is_at(address, port) for door in self.doors):
            return "it is a door of this server"
        if _inside(address, self.allow):
            return ""
        return "it is a special address" if is_special(address) else ""


_ADVICE = "Let the name point to the server that asks, or open a special range by acme.validation.allow_networks."


def policy(config: Config) -> AddressPolicy:
    """The address policy of a configuration; the demo may reach loopback."""
    validation = config.acme.validation
    loopback = _LOOPBACK if config.mode == "demo" else ()
    return AddressPolicy(
        allow=(*_networks(*validation.allow_networks), *loopback),
        deny=_networks(*validation.deny_networks),
        doors=tuple(_doors(config)),
        hosts=frozenset(_hosts(config)),
    )


def unwrapped(address: Address) -> Iterator[Address]:
    """The addresses that a packet to this one may end up at: itself, unless it is only a wrapping, and those inside."""
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    if address.ipv4_mapped:
        yield address.ipv4_mapped
        return
    yield address
    if address.sixtofour:
        yield address.sixtofour
    if address.teredo:
        yield from address.teredo
    translated = _inside(address, _LAST_32) and not address.is_loopback
    if translated or (int(address) >> 32) & _LOW_32 in _ISATAP:
        yield ipaddress.IPv4Address(int(address) & _LOW_32)


def is_special(address: Address) -> bool:
    """Whether it is no ordinary host's address. What IANA has not given out counts as special."""
    if _inside(address, SPECIAL):
        return True
    return isinstance(address, ipaddress.IPv6Address) and not _inside(address, _IPV6_ORDINARY)


def _inside(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def _is_of_this_machine(address: Address) -> bool:
    """An address is ours if a socket can be bound to it."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError as error:
        return error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
    return True


# --- from the configuration ---------------------------------------------------------------------


def _doors(config: Config) -> Iterator[Door]:
    for listen in (config.server.https_listen, config.server.http_listen, config.server.metrics_listen):
        host, _, port = listen.rpartition(":")
        if port.isdigit():
            yield from _doors_of(host, int(port))
    database = urlsplit(config.database.url)
    if database.hostname:
        yield from _doors_of(database.hostname, database.port or 5432)


def _doors_of(host: str, port: int) -> Iterator[Door]:
    """A listener's host may be a name or empty; what does not resolve at the start has no door yet."""
    try:
        found = socket.getaddrinfo(host.strip("[]") or "0.0.0.0", port, type=socket.SOCK_STREAM)  # noqa: S104
    except OSError:
        return
    for address in {str(one[4][0]) for one in found}:
        yield Door(ipaddress.ip_address(address), port)


def _hosts(config: Config) -> Iterator[str]:
    for url in (config.server.public_url, config.server.status_url):
        if host := urlsplit(url).hostname:
            yield host
