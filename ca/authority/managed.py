"""Certificates that Certwright holds itself: its own HTTPS doors, issued by its own CA and renewed in time.

A managed certificate lives in a folder of its own: each renewal is written whole into a numbered folder, then
the link `current` is moved, so that key and certificate never disagree, whenever a reader looks.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from ca.authority.chain import chain_pem
from ca.authority.desk import Desk
from ca.authority.issue import issue
from ca.names import parse_any
from ca.profiles import OWN_PROFILE
from ca.records import SYSTEM, IssueRequest, Name
from ca.shared import make_folder, opened

KEEP = 3
"""How many renewals stay in the folder, for whoever has one open."""


@dataclass(frozen=True, slots=True)
class Managed:
    """A folder with `current/key.pem` and `current/chain.pem`, and the names they are for.

    The key's mode is 0600, and 0660 in a folder that web and scheduler share.
    """

    folder: Path
    names: tuple[Name, ...]

    @property
    def key(self) -> Path:
        """PEM of the private key (PKCS#8)."""
        return self.folder / "current" / "key.pem"

    @property
    def chain(self) -> Path:
        """PEM of the certificate and its intermediates, leaf first."""
        return self.folder / "current" / "chain.pem"


def own_certificate(desk: Desk) -> Managed:
    """The certificate of the product's own HTTPS doors: host of `server.public_url` and `server.names`."""
    host = urlsplit(desk.config.server.public_url).hostname or "localhost"
    names = tuple(dict.fromkeys(parse_any(name) for name in (host, *desk.config.server.names)))
    return Managed(desk.config.path(desk.config.server.tls_dir), names)


def renew_if_due(desk: Desk, managed: Managed) -> bool:
    """Issues and writes a new certificate when there is none, names changed, its CA has a successor, or a third
    of its life is left.

    Answers whether it did. Of several processes that find it due, one renews and the others find it renewed.
    Raises what `issue` raises; the old one then stays in place.
    """
    if not _is_due(desk, managed):
        return False
    with _alone(managed.folder):
        if not _is_due(desk, managed):
            return False
        _renew(desk, managed)
    return True


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Web and scheduler both look after the folder, and at a first start both at once."""
    make_folder(folder, 0o700)
    with open(opened(folder / "lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _renew(desk: Desk, managed: Managed) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    certificate = issue(desk, IssueRequest(spki, managed.names, OWN_PROFILE, SYSTEM, owner="certwright"))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write(managed.folder, pem, chain_pem(desk, certificate))


def _is_due(desk: Desk, managed: Managed) -> bool:
    try:
        current = x509.load_pem_x509_certificate(managed.chain.read_bytes())
    except (OSError, ValueError):
        return True
    start, end = (int(t.timestamp()) for t in (current.not_valid_before_utc, current.not_valid_after_utc))
    names = current.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    held = {str(n.value) for n in names}
    of_today = x509.load_der_x509_certificate(desk.active_issuer().certificate).subject
    return (
        desk.clock() >= end - (end - start) // 3
        or held != {n.value for n in managed.names}
        or current.issuer != of_today
        or not managed.key.exists()
    )


def _write(folder: Path, key: bytes, chain: bytes) -> None:
    number = 1 + max((int(p.name) for p in folder.iterdir() if p.name.isdigit()), default=0)
    target = folder / f"{number:06d}"
    make_folder(target, 0o700)
    for name, body in (("key.pem", key), ("chain.pem", chain)):
        with os.fdopen(opened(target / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
    link = folder / "next"
    link.unlink(missing_ok=True)
    link.symlink_to(target.name)
    link.replace(folder / "current")
    _forget_old(folder)


def _forget_old(folder: Path) -> None:
    numbered = sorted(p for p in folder.iterdir() if p.name.isdigit())
    for old in numbered[:-KEEP]:
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
