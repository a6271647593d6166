"""What the store's tests file: intents and certificates with real DER, since the store reads the public key."""

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ca.clock import at
from ca.records import SYSTEM, Certificate, Intent, Name, NameKind, make_serial
from ca.store import Store

NOW = 1_800_000_000
DAY = 86_400


class _Crash(Exception):
    """The end of a process, as a transaction sees it."""


@contextmanager
def crashing(store: Store) -> Iterator[None]:
    """A transaction that breaks off before its commit."""
    try:
        with store.transaction():
            yield
            raise _Crash
    except _Crash:
        return


@lru_cache
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def new_serial(shard: int = 0) -> int:
    return make_serial(shard, secrets.token_bytes(16))


def intent(serial: int = 0, *names: str, **fields: object) -> Intent:
    """An open intent for these DNS names."""
    made = Intent(
        id=secrets.token_hex(8),
        issuer="issuing-g1",
        serial=serial or new_serial(),
        tbs=b"\x30\x03tbs",
        profile="server",
        not_before=NOW,
        not_after=NOW + 90 * DAY,
        actor=SYSTEM,
        names=tuple(Name(NameKind.DNS, name) for name in names or ("a.example.test",)),
        created_at=NOW,
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def certificate(of: Intent, **fields: object) -> Certificate:
    """The certificate of an intent."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, of.id)])
    builder = x509.CertificateBuilder(name, name, key().public_key(), of.serial, at(of.not_before), at(of.not_after))
    der = builder.sign(key(), SHA256()).public_bytes(Encoding.DER)
    made = Certificate(
        issuer=of.issuer,
        serial=of.serial,
        der=der,
        sha256=hashlib.sha256(der).hexdigest(),
        profile=of.profile,
        names=of.names,
        not_before=of.not_before,
        not_after=of.not_after,
        issued_at=of.created_at,
        common_name=of.common_name,
        owner=of.owner,
        order=of.order,
        account=of.account,
        token=of.token,
    )
    return replace(made, **fields)  # type: ignore[arg-type]
