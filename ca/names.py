"""Names and name patterns: text becomes a type here, once, and nobody below looks at the text again.

    parse_name(NameKind.DNS, "WWW.Example.Test")  ->  Name(dns, "www.example.test")
    Pattern.parse("**.example.test").matches(name)

One grammar of patterns serves tokens, external accounts, profiles and policy:

| pattern | matches |
|---|---|
| `h` | that DNS name |
| `*.h` | one label below `h` |
| `**.h` | any depth below `h`, never `h` itself |
| `10.0.0.0/8`, `10.1.2.3` | addresses in the network; the one address |
| `spiffe://td/a/b` | that SPIFFE ID |
| `spiffe://td/a/*` | one path segment in that place |
| `spiffe://td/a/**` | one or more segments, at the end only |

A wildcard name (`*.h`) matches `*.h` and `**.h` like any other label, and only where wildcards are allowed.
"""

import ipaddress
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

import idna
from cryptography import x509

from ca.config import Config
from ca.errors import BadName, ConfigError
from ca.records import Name, NameKind

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_DNS = 253
MAX_URI = 2048
ROOMY = 256
"""Addresses in a network that is not wide."""
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}\Z")
_SEGMENT = re.compile(r"[A-Za-z0-9._-]+\Z")
_SPIFFE = "spiffe://"


# --- names --------------------------------------------------------------------------------------


def parse_name(kind: NameKind | str, text: str) -> Name:
    """The name of that kind in normal form. Raises `BadName`."""
    try:
        parse = _PARSERS[NameKind(kind)]
    except ValueError:
        raise BadName(f"{kind!r} is no kind of name.", next_step=f"Use {', '.join(NameKind)}.") from None
    return parse(text)


def parse_any(text: str) -> Name:
    """The name that a person meant: a SPIFFE ID by its scheme, an address by its form, else a DNS name."""
    if "://" in text:
        return parse_uri(text)
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return parse_dns(text)
    return parse_ip(text)


def parse_dns(text: str) -> Name:
    """A DNS name as lower-case A-labels, at most 253 octets, `*.` only in front (X-13, RFC 5890). Raises `BadName`."""
    stars, host = ("*.", text[2:]) if text.startswith("*.") else ("", text)
    value = stars + _host(host, text)
    if len(value) > MAX_DNS:
        raise _bad(text, f"it is longer than {MAX_DNS} octets")
    return Name(NameKind.DNS, value)


def parse_ip(text: str) -> Name:
    """An IPv4 or IPv6 address in the text of RFC 5952. Raises `BadName`."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise _bad(text, "it is no IPv4 or IPv6 address") from None
    return Name(NameKind.IP, str(_plain(address, text)))


def parse_uri(text: str) -> Name:
    """A SPIFFE ID with at least one path segment, as given. Raises `BadName` for any other URI."""
    domain, segments = _spiffe(text)
    for segment in segments:
        _check_segment(segment, text)
    return Name(NameKind.URI, f"{_SPIFFE}{domain}/{'/'.join(segments)}")


_PARSERS = {NameKind.DNS: parse_dns, NameKind.IP: parse_ip, NameKind.URI: parse_uri}


def general_name(name: Name) -> x509.GeneralName:
    """The name as it stands in certificates."""
    match name.kind:
        case NameKind.DNS:
            return x509.DNSName(name.value)
        case NameKind.IP:
            return x509.IPAddress(ipaddress.ip_address(name.value))
        case NameKind.URI:
            return x509.UniformResourceIdentifier(name.value)


def of_general(name: x509.GeneralName) -> Name:
    """The name that stands in a certificate. Raises `BadName`, for kinds that are never issued too."""
    match name:
        case x509.DNSName():
            return parse_dns(name.value)
        case x509.IPAddress():
            return parse_ip(str(name.value))
        case x509.UniformResourceIdentifier():
            return parse_uri(name.value)
    raise BadName(f"{type(name).__name__} is no kind of name that is issued.")


def is_wildcard(name: Name) -> bool:
    """Whether the name stands for many hosts."""
    return name.kind is NameKind.DNS and name.value.startswith("*.")


def without_star(name: Name) -> Name:
    """A wildcard's domain, and every other name itself."""
    return Name(name.kind, name.value[2:]) if is_wildcard(name) else name


def _bad(text: str, why: str) -> BadName:
    return BadName(f"{text[:300]!r} cannot be used as a name: {why}.")


def _host(host: str, text: str) -> str:
    """`host` as lower-case A-labels. `text` is what the asker wrote, for the message."""
    if len(host) > MAX_DNS:
        raise _bad(text, f"it is longer than {MAX_DNS} octets")
    value = host.lower() if host.isascii() else _a_labels(host, text)
    labels = value.split(".")
    for label in labels:
        _check_label(label, text)
    if labels[-1].isdigit():
        raise _bad(text, "it ends in a number, like an address")
    return value


def _a_labels(host: str, text: str) -> str:
    try:
        return idna.encode(host, uts46=True, std3_rules=True, strict=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        raise _bad(text, f"it is no internationalized name ({error})") from None


def _check_label(label: str, text: str) -> None:
    if not label:
        raise _bad(text, "it has an empty label (write it without a dot at its ends)")
    if not _LABEL.match(label):
        raise _bad(text, f"the label {label[:70]!r} is not 1 to 63 letters, digits and inner hyphens")
    if label[2:4] == "--" and not _is_a_label(label):
        raise _bad(text, f"the label {label!r} is no valid A-label (RFC 5891)")


def _is_a_label(label: str) -> bool:
    try:
        return label.startswith("xn--") and idna.alabel(idna.ulabel(label)).decode("ascii") == label
    except (idna.IDNAError, UnicodeError):
        return False


def _plain(address: Address, text: str) -> Address:
    """The address, unless it is no host's own: mapped, scoped, unspecified or multicast."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        raise _bad(text, "it is an IPv4-mapped address: write the IPv4 address")
    if getattr(address, "scope_id", None):
        raise _bad(text, "a zone does not belong into a certificate")
    if address.is_unspecified or address.is_multicast:
        raise _bad(text, "it is not the address of one host")
    return address


def _spiffe(text: str) -> tuple[str, list[str]]:
    """Trust domain and path segments of a SPIFFE ID; the segments are not checked yet."""
    if not text.startswith(_SPIFFE):
        raise _bad(text, "the only URIs in certificates are SPIFFE IDs (spiffe://trust-domain/path)")
    if len(text) > MAX_URI:
        raise _bad(text, f"it is longer than {MAX_URI} octets")
    domain, *segments = text.removeprefix(_SPIFFE).split("/")
    if not _TRUST_DOMAIN.match(domain):
        raise _bad(text, "the trust domain is not lower-case letters, digits, dots, hyphens and underscores")
    if not segments:
        raise _bad(text, "it has no path")
    return domain, segments


def _check_segment(segment: str, text: str) -> None:
    if segment in (".", "..") or not _SEGMENT.match(segment):
        raise _bad(text, f"the path segment {segment[:70]!r} is empty, relative or has other than A-Z a-z 0-9 . _ -")


# --- patterns -----------------------------------------------------------------------------------


class Pattern(ABC):
    """A set of names of one kind. `str()` is its normal text, and `parse(str(p)) == p`."""

    kind: NameKind

    @staticmethod
    def parse(text: str) -> "Pattern":
        """The pattern of that text. Raises `BadName`; there is no pattern for everything."""
        if text.startswith(_SPIFFE):
            return URIPattern.read(text)
        try:
            return NetworkPattern(_network(text))
        except ValueError:
            return DNSPattern.read(text)

    @abstractmethod
    def matches(self, name: Name, allow_wildcard: bool = False) -> bool:
        """Whether the name is in the set; a wildcard name is in it only where wildcards are allowed."""

    @abstractmethod
    def covers(self, other: "Pattern") -> bool:
        """Whether every name of `other` is in this set ("a token mints only subsets of itself")."""

    @property
    @abstractmethod
    def is_wide(self) -> bool:
        """Whether it holds more than somebody could have in mind one by one: any depth, or a network over `ROOMY`."""

    def touches(self, name: Name) -> bool:
        """Whether a holder of `name` could answer for a name of this set; a wildcard name can for many."""
        return self.matches(name, allow_wildcard=True)


@dataclass(frozen=True, slots=True)
class DNSPattern(Pattern):
    """`stars` is 0 for the host itself, 1 for one label below it, 2 for any depth below it."""

    host: str
    stars: int

    kind = NameKind.DNS

    @classmethod
    def read(cls, text: str) -> "DNSPattern":
        """The pattern of `h`, `*.h` or `**.h`."""
        head, dot, rest = text.partition(".")
        stars = {"*": 1, "**": 2}.get(head, 0) if dot else 0
        return cls(_host(rest if stars else text, text), stars)

    def __str__(self) -> str:
        return ("", "*.", "**.")[self.stars] + self.host

    def matches(self, name: Name, allow_wildcard: bool = False) -> bool:
        if name.kind is not NameKind.DNS or (is_wildcard(name) and not allow_wildcard):
            return False
        return self._holds(name.value)

    @property
    def is_wide(self) -> bool:
        return self.stars == 2

    def _holds(self, host: str) -> bool:
        below = host.removesuffix("." + self.host)
        match self.stars:
            case 0:
                return host == self.host
            case 1:
                return below != host and "." not in below
            case _:
                return below != host

    def covers(self, other: Pattern) -> bool:
        if not isinstance(other, DNSPattern):
            return False
        if other.stars == 0:
            return self._holds(other.host)
        if self.stars == 2:
            return other.host == self.host or self._holds(other.host)
        return other == self

    def touches(self, name: Name) -> bool:
        if self.stars == 0 and is_wildcard(name):
            return DNSPattern(name.value[2:], 1)._holds(self.host)
        return self.matches(name, allow_wildcard=True)


@dataclass(frozen=True, slots=True)
class NetworkPattern(Pattern):
    """The addresses of one network."""

    network: Network

    kind = NameKind.IP

    def __str__(self) -> str:
        return str(self.network)

    def matches(self, name: Name, allow_wildcard: bool = False) -> bool:
        return name.kind is NameKind.IP and ipaddress.ip_address(name.value) in self.network

    def covers(self, other: Pattern) -> bool:
        if not isinstance(other, NetworkPattern) or other.network.version != self.network.version:
            return False
        return other.network.subnet_of(self.network)  # type: ignore[arg-type]

    @property
    def is_wide(self) -> bool:
        return self.network.num_addresses > ROOMY


@dataclass(frozen=True, slots=True)
class URIPattern(Pattern):
    """SPIFFE IDs of one trust domain by whole path segments; `*` is one segment, a last `**` one or more."""

    domain: str
    segments: tuple[str, ...]

    kind = NameKind.URI

    @classmethod
    def read(cls, text: str) -> "URIPattern":
        """The pattern of `spiffe://td/a/b`, with `*` for a segment and `**` for the rest."""
        domain, segments = _spiffe(text)
        for segment in segments[:-1] if segments[-1] == "**" else segments:
            if segment != "*":
                _check_segment(segment, text)
        return cls(domain, tuple(segments))

    def __str__(self) -> str:
        return f"{_SPIFFE}{self.domain}/{'/'.join(self.segments)}"

    def matches(self, name: Name, allow_wildcard: bool = False) -> bool:
        if name.kind is not NameKind.URI:
            return False
        domain, *segments = name.value.removeprefix(_SPIFFE).split("/")
        return domain == self.domain and _follows(self.segments, tuple(segments))

    def covers(self, other: Pattern) -> bool:
        if not isinstance(other, URIPattern) or other.domain != self.domain:
            return False
        return _follows(self.segments, other.segments)

    @property
    def is_wide(self) -> bool:
        return self.segments[-1] == "**"


def _follows(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """Whether each path (or each path of another pattern) lies in the pattern, segment by segment."""
    if pattern[-1] == "**":
        head = len(pattern) - 1
        return len(path) > head and all(map(_fits, pattern[:-1], path[:head]))
    return len(path) == len(pattern) and all(map(_fits, pattern, path))


def _fits(wanted: str, segment: str) -> bool:
    return segment == wanted or (wanted == "*" and segment != "**")


def _network(text: str) -> Network:
    """A network in strict CIDR (no host bits), or one address. Raises ValueError when it is neither."""
    if "/" in text and not re.search(r"/\d{1,3}\Z", text):
        raise ValueError
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        if "host bits" in str(error):
            raise BadName(
                f"{text!r} has bits set behind its prefix.", next_step="Write the network's own address."
            ) from None
        raise


# --- what the product itself holds, and what an issuer permits ----------------------------------


def reserved(config: Config) -> tuple[Pattern, ...]:
    """The names that only the product itself may hold: those of its own doors and `ca.reserved_names`.

    Raises `ConfigError` for one that is no name.
    """
    try:
        return tuple(Pattern.parse(text) for text in reserved_texts(config))
    except BadName as error:
        where = "server.public_url, server.status_url, server.names or ca.reserved_names"
        raise ConfigError(f"{where}: {error.detail}", next_step=error.next_step) from None


def reserved_texts(config: Config) -> tuple[str, ...]:
    """The same as they are written, each once."""
    urls = (config.server.public_url, config.server.status_url)
    hosts = [urlsplit(url).hostname or "" for url in urls]
    return tuple(dict.fromkeys([*filter(None, hosts), *config.server.names, *config.ca.reserved_names]))


def permitted(config: Config) -> tuple[Pattern, ...]:
    """The names of `ca.permitted_names` as patterns; none means unconstrained. Raises `ConfigError`."""
    try:
        return subtrees(config.ca.permitted_names)
    except BadName as error:
        raise ConfigError(f"ca.permitted_names: {error.detail}", next_step=error.next_step) from None


def subtrees(texts: Iterable[str]) -> tuple[Pattern, ...]:
    """The patterns that name constraints stand for (RFC 5280 §4.2.1.10).

    A DNS name permits itself and all below it, a network its addresses, `spiffe://td` all of that trust
    domain. Raises `BadName`.
    """
    return tuple(pattern for text in texts for pattern in _subtree(text))


def _subtree(text: str) -> tuple[Pattern, ...]:
    if text.startswith(_SPIFFE):
        return (URIPattern.read(f"{text.rstrip('/')}/**"),)
    pattern = Pattern.parse(text)
    if not isinstance(pattern, DNSPattern):
        return (pattern,)
    if pattern.stars:
        raise BadName(
            f"{text!r} is no name constraint.", next_step=f"Write {pattern.host!r}: it includes all below it."
        )
    return (pattern, DNSPattern(pattern.host, 2))
