"""A connection to the very address that the policy permitted, with sockets that keep to one deadline and one count."""

import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from acme_server.errors import AddressDenied
from acme_server.validation.addresses import Address, AddressPolicy
from acme_server.validation.causes import Cause
from acme_server.validation.resolution import Resolver
from acme_server.validation.trail import Trail, words
from acme_server.validation.wire import Deed

MAX_OCTETS = 64 * 1024
"""The most that is read of one connection."""


@dataclass(frozen=True)
class Reach:
    """Names to connections, under one policy; safe to share between threads."""

    addresses: AddressPolicy
    resolver: Resolver

    def connect(self, host: str, port: int, trail: Trail) -> "Plain":
        """A connection to the first address that is permitted and answers; each gets its share of the time.

        Raises `FetchFailed` with the last reason.
        """
        subject = f"{host}, port {port}"
        failure = trail.failure(Cause.UNREACHABLE, subject)
        found = self._found(host, trail)
        for place, address in enumerate(found):
            try:
                self.addresses.permit(address, port)
                channel = _connect(address, port, trail, trail.left(subject) / (len(found) - place))
            except AddressDenied as denied:
                failure = trail.failure(Cause.ADDRESS_DENIED, subject, str(denied))
                trail.note(Deed.CONNECT, subject, "denied", denied.detail)
            except OSError as error:
                cause, outcome = _why(error)
                failure = trail.failure(cause, subject, f"{address}: {words(error)}")
                trail.note(Deed.CONNECT, subject, outcome, f"{address}: {words(error)}")
            else:
                trail.note(Deed.CONNECT, subject, "connected", str(address))
                return channel
        raise failure

    def secure(self, plain: "Plain", context: ssl.SSLContext, name: str | None, where: str, trail: Trail) -> "Secured":
        """TLS over a connection, within the time; the contexts here make `Secured`. Raises `FetchFailed`."""
        try:
            plain.settimeout(trail.left(where))
            secured = context.wrap_socket(plain, server_hostname=name)
        except (OSError, ValueError) as error:
            plain.close()
            trail.note(Deed.HANDSHAKE, where, "failed", words(error))
            raise trail.failure(Cause.NO_TLS, where, words(error)) from None
        assert isinstance(secured, Secured)
        secured.begin(trail.deadline)
        trail.note(Deed.HANDSHAKE, where, "done", f"{secured.version()}, {secured.selected_alpn_protocol()}")
        return secured

    def _found(self, host: str, trail: Trail) -> Sequence[Address]:
        if is_address(host):
            return [ipaddress.ip_address(host)]
        return self.resolver.addresses(host, trail)


def _why(error: OSError) -> tuple[Cause, str]:
    match error:
        case TimeoutError():
            return Cause.CONNECT_LATE, "no answer in time"
        case ConnectionRefusedError():
            return Cause.REFUSED, "refused"
        case _:
            return Cause.UNREACHABLE, "not reached"


def is_address(host: str) -> bool:
    """Whether it is an address, and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _connect(address: Address, port: int, trail: Trail, seconds: float) -> "Plain":
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    channel = Plain(family, socket.SOCK_STREAM)
    try:
        channel.settimeout(seconds)
        channel.connect((str(address), port))
    except OSError:
        channel.close()
        raise
    channel.begin(trail.deadline)
    return channel


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


class Plain(_Metered, socket.socket):
    """TCP."""


class Secured(_Metered, ssl.SSLSocket):
    """TLS over TCP."""
