"""Who may ask for what: a table from the uid at the other end of the socket to operations, keys and kinds.

In production it has a line for each process (`RIGHTS`) and one for operators: root, and the signer's own user. In a
demo whoever started it may do all. Who stands in no line is refused.
"""

import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ca.config import Config
from ca.errors import Denied
from ca.keys import wire
from ca.records import SignKind
from ca.users import resolve

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
    frozenset(
        {
            "sign",
            "generate",
            "certify",
            "deactivate",
            "renew-responder",
            "keys",
            "last-crl",
            "ledger",
            "freshen",
            "health",
            "unlock",
            "accept-clock",
        }
    ),
    frozenset({_EVERYTHING}),
    frozenset(SignKind),
)


def _process(*operations: str, signs: tuple[SignKind, ...]) -> Grant:
    return Grant(frozenset({"health", "keys", *operations}), frozenset({_EVERYTHING}), frozenset(signs))


RIGHTS: Mapping[str, Grant] = {
    "web": _process("sign", "last-crl", signs=(SignKind.CERTIFICATE, SignKind.CRL, SignKind.OCSP)),
    "scheduler": _process(
        "sign",
        "last-crl",
        "ledger",
        "renew-responder",
        signs=(SignKind.CERTIFICATE, SignKind.CRL, SignKind.OCSP, SignKind.CHECKPOINT),
    ),
    "status": _process("freshen", signs=()),
}
"""What the processes do in production; the fetcher asks nothing. The rest (a ceremony, a rotation) is for operators.

The kind bounds the key too (`rules`): an issuing key signs certificates and CRLs, only a responder's OCSP answers.
"""


def table(config: Config) -> Mapping[int, Grant]:
    """The table of a configuration. Raises `ConfigError` for users that do not exist or are the same."""
    if config.mode != "production":
        return {os.getuid(): FULL}
    users = resolve(config.users)
    return {0: FULL, users["signer"].uid: FULL, **{users[one].uid: grant for one, grant in RIGHTS.items()}}


class Peers:
    """The table at work. A uid that does not stand in it is refused."""

    def __init__(self, table: Mapping[int, Grant]) -> None:
        self._table = dict(table)

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
