"""`certwright key block|unblock|blocked`: public keys that are known to be compromised."""

import hashlib
import re
from pathlib import Path

import click

from ca.clock import rfc3339
from ca.errors import BadRequest
from cli.output import answer, table
from cli.session import Session, command, operator


@command(changes=True)
@click.argument("key")
@click.option("--comment", default="", help="Where that is known from.")
def block(session: Session, key: str, comment: str) -> None:
    """Blocks a compromised key: it neither holds an ACME account nor is certified again.

    KEY is a file (public or private key, CSR or certificate in PEM) or the SHA-256 of the public key (hex). What it
    certifies already stays valid: 'certwright cert list' and 'certwright cert revoke'.
    """
    from ca.authority import compromised

    digest = _digest(key)
    if session.dry_run:
        answer(session, {"dry_run": True, "spki_sha256": digest}, f"Would block the key {digest}.")
        return
    session.confirm(f"Block the key {digest}?")
    with session.authority() as authority:
        new = compromised.block(authority, digest, operator(), comment=comment)
        held = authority.store.by_public_key(digest)
    said = f"{'blocked' if new else 'was blocked already:'} {digest}; certificates with it: {len(held)}"
    answer(session, {"spki_sha256": digest, "new": new, "certificates": len(held)}, said)


@command(changes=True, eyes=True)
@click.argument("key")
def unblock(session: Session, key: str) -> None:
    """Takes a key off the list that was blocked by mistake."""
    from ca.authority import compromised

    digest = _digest(key)
    if session.dry_run:
        answer(session, {"dry_run": True, "spki_sha256": digest}, f"Would unblock the key {digest}.")
        return
    session.confirm(f"Unblock the key {digest}?")
    with session.authority() as authority:
        session.demand_second(authority, spki_sha256=digest)
        compromised.unblock(authority, digest, operator())
    answer(session, {"spki_sha256": digest}, f"unblocked {digest}")


@command()
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many.")
def blocked(session: Session, limit: int) -> None:
    """Lists the blocked keys, the newest first."""
    with session.authority() as authority:
        found = authority.store.blocked_keys(limit)
    rows = [
        {
            "spki_sha256": one.spki_sha256,
            "reported_by": one.reported_by,
            "blocked_at": rfc3339(one.blocked_at),
            "source": one.source or None,
            "comment": one.comment,
        }
        for one in found
    ]
    cells = [[value or "" for value in row.values()] for row in rows]
    head = ("spki_sha256", "reported_by", "blocked_at", "source", "comment")
    answer(session, rows, lambda: table(head, cells, "No key is blocked."))


def _digest(key: str) -> str:
    path = Path(key)
    if path.is_file():
        return hashlib.sha256(_spki(path.read_bytes())).hexdigest()
    if not re.fullmatch(r"[0-9a-f]{64}", key.lower()):
        raise BadRequest(f"{key} is no file and no SHA-256.", next_step="Name a PEM file, or 64 hexadecimal digits.")
    return key.lower()


def _spki(pem: bytes) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    readers = (
        lambda data: x509.load_pem_x509_certificate(data).public_key(),
        lambda data: x509.load_pem_x509_csr(data).public_key(),
        serialization.load_pem_public_key,
        lambda data: serialization.load_pem_private_key(data, None).public_key(),
    )
    for read in readers:
        try:
            return read(pem).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        except (ValueError, TypeError):
            continue
    raise BadRequest("There is no key in that file.", next_step="Name a PEM file with a key, a CSR or a certificate.")
