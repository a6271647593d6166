"""Who may ask for what: a table from the uid at the other end of the socket to keys and kinds."""

import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ca.errors import Denied
from ca.keys import wire
from ca.records import SignKind

_UCRED = struct.Struct("3i")
_EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a peer may do: operations by their name on the wire, keys by id (`*` for all), kinds to sign.

    `uid` is the peer itself, once it has come.
    """

    operations: frozenset[str]
    keys: frozenset[str]
    kinds: frozenset[SignKind]
    uid: int = -1


FULL = Grant(
    frozenset({"sign", "generate", "certify", "renew-responder", "keys", "last-crl", "health", "unlock"}),
    frozenset({_EVERYTHING}),
    frozenset(SignKind),
)


class Peers:
    """The table. A uid that does not stand in it is refused; by default the signer's own uid may do all."""

    def __init__(self, table: Mapping[int, Grant] | None = None) -> None:
        self._table = {os.getuid(): FULL} if table is None else dict(table)

    def grant(self, uid: int) -> Grant:
        """The peer's rights. Raises `Denied`."""
        if uid not in self._table:
            raise Denied(f"The user with uid {uid} may not talk to the signer.", next_step="Run it as the right user.")
        return replace(self._table[uid], uid=uid)


def permit(grant: Grant, request: wire.Requests) -> None:
    """Returns when the grant covers the request. Raises `Denied`."""
    operation = str(type(request).__struct_config__.tag)
    if operation not in grant.operations:
        raise Denied(f"This user may not ask the signer for '{operation}'.")
    key = getattr(request, "key", "") or getattr(request, "issuer", "")
    if key and not grant.keys & {key, _EVERYTHING}:
        raise Denied(f"This user may not use the key {key}.")
    if isinstance(request, wire.Sign) and request.kind not in grant.kinds:
        raise Denied(f"This user may not have a {request.kind} signed.")


def peer_uid(connection: socket.socket) -> int:
    """The uid of the process at the other end, by the kernel's word (SO_PEERCRED)."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _, uid, _ = _UCRED.unpack(raw)
    return int(uid)
