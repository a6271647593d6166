"""A whole authority in one process and a few milliseconds: real records, rules, ledger and folder, keys in memory.

What is not real is the token and the socket before it. `away` takes the signer away; `restart` opens all anew.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from ca import crl
from ca.authority import Authority
from ca.authority.wallclock import WallClock
from ca.config import Config
from ca.errors import HSMUnavailable, NotFound
from ca.folder import Folder
from ca.journal import Journal
from ca.keys.ring import KeyState
from ca.keys.signer import freshen, rules
from ca.keys.signer.book import Book, Deed
from ca.keys.signer.ledger import Ledger
from ca.keys.signer.pins import Pinned
from ca.keys.signer.tally import Tally
from ca.keys.wire import SignerHealth
from ca.ocsp import answer_path, cert_id
from ca.policy import Policy
from ca.profiles import compile_all
from ca.publish import Publisher
from ca.records import Certificate, Key, KeyPurpose, Responder, SignKind
from ca.store import Store, migrate
from tests.ca.authority.world import a_request
from tests.ca.conftest import PERMITTED, STATUS_URL, Hierarchy, spki_of

ISSUER = "issuing-g1"
RESPONDER = "issuing-g1-ocsp-1"


@dataclass
class Clock:
    """Stands still until a test moves it."""

    now: int

    def __call__(self) -> int:
        return self.now


@dataclass
class MemorySigner:
    """The signer's rules and its ledger over keys in memory."""

    hierarchy: Hierarchy
    folder: Path
    clock: Callable[[], int]
    away: bool = False
    signed: list[SignKind] = field(default_factory=list)

    def __post_init__(self) -> None:
        own = self.hierarchy
        self.folder.mkdir(exist_ok=True)
        ledger = Ledger(self.folder, sync=lambda descriptor: None)
        self.book = Book(ledger, Tally(ledger, self.clock), self.clock)
        self.revoked = freshen.Revoked()
        self.held = {
            ISSUER: (own.issuing_key, KeyPurpose.ISSUING, own.issuing.certificate),
            RESPONDER: (own.responder_key, KeyPurpose.RESPONDER, own.responder.public_bytes(Encoding.DER)),
        }

    @property
    def pinned(self) -> dict[str, Pinned]:
        return {
            name: Pinned(
                Key(name, purpose, "ec-p256", spki_of(key)), b"", certificate, "" if name == ISSUER else ISSUER
            )
            for name, (key, purpose, certificate) in self.held.items()
        }

    def sign(self, key: str, kind: SignKind, tbs: bytes) -> bytes:
        self._must_be_here()
        private, purpose, certificate = self.held[key]
        facts = rules.KeyFacts(key, purpose, "ec-p256", spki_of(private), KeyState.ACTIVE, certificate, 398 * 86400)
        seen = rules.permit(kind, tbs, facts, self.clock())
        with self.book.entered(Deed(key, kind.value, 0, tbs, seen), 5.0):
            self.signed.append(kind)
            if kind is SignKind.OCSP and seen.number:
                self.revoked.note(ISSUER, seen.number, bool(seen.mark))
            return private.sign(tbs, ec.ECDSA(SHA256()))

    def freshen(self, published: tuple[bytes, ...], algorithms: tuple[str, ...], nonce: bytes) -> bytes:
        """As the signer's desk does it, over the same rules."""
        self._must_be_here()
        said = freshen.read(self, published, algorithms, self.clock())
        freshen.must_not_be_revoked(said, self.revoked)
        issuer = self.pinned[ISSUER]
        return freshen.say_again(said, issuer, nonce, lambda tbs: self.sign(said.responder.key.id, SignKind.OCSP, tbs))

    def all(self) -> tuple[Pinned, ...]:
        return tuple(self.pinned.values())

    def keys(self) -> Sequence[Key]:
        self._must_be_here()
        return [Key(name, purpose, "ec-p256", spki_of(key)) for name, (key, purpose, _) in self.held.items()]

    def health(self) -> SignerHealth:
        self._must_be_here()
        return SignerHealth(True, "well")

    def key(self, key_id: str) -> Key:
        return next(one for one in self.keys() if one.id == key_id)

    def last_crl(self, key: str, scope: str) -> tuple[int, int]:
        self._must_be_here()
        highest = self.book.highest(key, SignKind.CRL, scope)
        return highest.number, highest.this_update

    def _must_be_here(self) -> None:
        if self.away:
            raise HSMUnavailable("The token was taken away.", next_step="Bring it back.")


class FastWorld:
    """One CA in a folder. `template` holds its database, migrated and with the hierarchy recorded."""

    def __init__(self, folder: Path, hierarchy: Hierarchy, template: Path, **ca: Any) -> None:
        self.folder, self.hierarchy = folder, hierarchy
        self.clock = Clock(hierarchy.now)
        self.config = Config(
            mode="demo",
            server={"status_url": STATUS_URL},
            ca={"permitted_names": list(PERMITTED), "publication_dir": folder / "public", **ca},
        )
        shutil.copy(template, folder / "ca.sqlite")
        self.signer = MemorySigner(hierarchy, folder / "ledger", self.clock)
        self.authority = self._open()

    def _open(self) -> Authority:
        store = Store.open(f"sqlite:///{self.folder / 'ca.sqlite'}")
        profiles = compile_all(self.config)
        return Authority(
            config=self.config,
            clock=self.clock,
            wall=WallClock(store, self.clock),
            store=store,
            signer=self.signer,
            journal=Journal(store, self.clock),
            publisher=Publisher(store, Folder(self.folder / "public")),
            profiles=profiles,
            policy=Policy(self.config, profiles),
        )

    def restart(self) -> None:
        """The process ends and begins again; the signer reads its ledger."""
        self.close()
        self.signer = MemorySigner(self.hierarchy, self.folder / "ledger", self.clock)
        self.authority = self._open()

    def close(self) -> None:
        self.authority.store.close()
        self.signer.book._ledger.close()

    # --- what is published ---

    def issue(self, **more: Any) -> Certificate:
        return self.authority.issue(a_request(**more))

    def crl(self, shard: int = 0, path: str = "") -> x509.CertificateRevocationList:
        published = self.authority.publisher.folder.get(path or crl.list_path(ISSUER, shard))
        assert published is not None
        return x509.load_der_x509_crl(published.body)

    def entries(self, shard: int = 0, path: str = "") -> dict[int, str]:
        """Serials of a published list with their reasons."""
        found = {}
        for entry in self.crl(shard, path):
            reasons = [one.value.reason.value for one in entry.extensions if isinstance(one.value, x509.CRLReason)]
            found[entry.serial_number] = reasons[0] if reasons else "unspecified"
        return found

    def answer(self, serial: int, algorithm: str = "sha1") -> ocsp.OCSPResponse:
        """The published answer. Raises NotFound."""
        path = answer_path(cert_id(self.hierarchy.issuing_certificate, serial, algorithm))
        published = self.authority.publisher.folder.get(path)
        if published is None:
            raise NotFound(path)
        return ocsp.load_der_ocsp_response(published.body)


def number(of: x509.CertificateRevocationList) -> int:
    return of.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def make_template(file: Path, hierarchy: Hierarchy) -> Path:
    """A migrated database with root, issuing CA and responder, and all shards open."""
    migrate(f"sqlite:///{file}")
    store = Store.open(f"sqlite:///{file}")
    own = hierarchy
    with store.transaction():
        for name, purpose, key in (
            ("root-g1", KeyPurpose.ROOT, own.root_key),
            (ISSUER, KeyPurpose.ISSUING, own.issuing_key),
            (RESPONDER, KeyPurpose.RESPONDER, own.responder_key),
        ):
            store.add_key(Key(name, purpose, "ec-p384" if name == "root-g1" else "ec-p256", spki_of(key)))
        store.add_issuer(own.root)
        store.add_issuer(own.issuing)
        life = (own.responder.not_valid_before_utc, own.responder.not_valid_after_utc)
        begin, end = (int(one.timestamp()) for one in life)
        store.add_responder(Responder(ISSUER, RESPONDER, own.responder.public_bytes(Encoding.DER), begin, end))
    store.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    return file
