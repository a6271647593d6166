"""A proof that one entry stands in the journal, verified from its own bytes and the journal's key (JOURNAL.md §7).

    proof = prove(store, event, {key_id: spki})      # from the records, verified before it is handed out
    write(proof), read(text)                         # a JSON file
    verify(proof, fingerprint)                       # offline: a Proven, or JournalBroken with the reason

The journal is a chain, so the way from an entry to a signed head is the leaf hash of every entry between them. The
first head above the entry is taken: heads are signed each second, so the way is short, whatever came later.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

import msgspec
from cryptography import x509

from ca.errors import BadPublicKey, BadRequest, JournalBroken, NotFound
from ca.journal import entry
from ca.journal.chain import EMPTY, leaf_hash, link
from ca.keys.algorithms import algorithm_of, load_spki
from ca.keys.checkpoint import Checkpoint, parse_checkpoint
from ca.records import serial_hex
from ca.store import Head, Leaf, Store

LONGEST_WAY = 100_000
"""Entries between an entry and its head at most: about 5 MB of proof."""

LARGEST = 8 << 20
"""Octets of a file that is read as a proof."""

ISSUED = ("certificate.issued", "certificate.imported")
"""The events that tell of a certificate's issuance; the second one when a restore brought it back."""


class Proof(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="format", tag="certwright-journal-proof-1"
):
    """One entry as it was stored, `index` in the chain, the chain's hash `before` it and the leaves `after` it up to
    the head that `checkpoint` names; `signature` over the checkpoint is by `key`, a SubjectPublicKeyInfo."""

    index: int
    entry: str
    before: bytes
    after: tuple[bytes, ...]
    checkpoint: str
    signature: bytes
    key: bytes


class _Who(msgspec.Struct):
    kind: str
    id: str


class _Said(msgspec.Struct):
    """What every reader of an entry goes by; a key that signs heads may still be a liar's."""

    time: Annotated[int, msgspec.Meta(ge=0, lt=1 << 36)]
    actor: _Who
    action: str
    object: str
    result: str
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Proven:
    """What a proof has shown: the fields of the entry, its place, and the head over it.

    `lost` places between the two are empty: the chain goes on above what a restore lost. The place itself stands in no
    hash, so that it is told wrongly is the other reading; what the entry says is proved either way.
    """

    entry: Mapping[str, Any]
    index: int
    origin: str
    size: int
    lost: int


# --- making -------------------------------------------------------------------------------------


def prove(store: Store, event: int, keys: Mapping[str, bytes]) -> Proof:
    """The proof of an event under the first signed head above it, by the SPKI of each key id.

    Raises `NotFound` for no event and for one that is not under a signed head yet, `JournalBroken` when the
    records do not yield a proof that holds.
    """
    leaf = _leaf(store, event)
    head = _head(store, leaf)
    chained = store.chained(leaf.index, 1)[0]
    if chained.row is None:
        _broken(f"event {event} was deleted")
    proof = Proof(
        index=leaf.index,
        entry=_text(chained.row.body),
        before=store.chain_below(leaf.index) or EMPTY,
        after=tuple(one.hash for one in store.leaves(leaf.index + 1, head.size)),
        checkpoint=Checkpoint(head.origin, head.size, head.hash).text().decode(),
        signature=head.signature,
        key=keys.get(head.key_id, b""),
    )
    verify(proof, fingerprint(proof.key))
    return proof


def _leaf(store: Store, event: int) -> Leaf:
    try:
        return store.leaf_of(event)
    except NotFound:
        raise NotFound(
            f"Event {event} has no place in the journal's chain.",
            next_step="A new one gets it within a second, while the scheduler runs; 'certwright audit tail' shows ids.",
        ) from None


def _head(store: Store, leaf: Leaf) -> Head:
    heads = store.heads(leaf.index, 1)
    if not heads:
        raise NotFound(
            f"No signed head covers entry {leaf.index} yet.",
            next_step="Ask again in a second; if that lasts, scheduler or signer are down: run 'certwright doctor'.",
        )
    if heads[0].size - leaf.index > LONGEST_WAY:
        raise NotFound(
            f"The first signed head above entry {leaf.index} is {heads[0].size - leaf.index} entries away, "
            f"and a proof tells of {LONGEST_WAY} at most.",
            next_step="Hand over the whole journal instead: 'certwright audit export'.",
        )
    return heads[0]


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        _broken("its bytes are no text")


# --- verifying ----------------------------------------------------------------------------------


def write(proof: Proof) -> bytes:
    """The file of a proof: JSON that people can look at, binary members in base64."""
    return msgspec.json.format(msgspec.json.encode(proof), indent=2) + b"\n"


def read(text: bytes) -> Proof:
    """The proof of a file. Raises `BadRequest` for what is none."""
    try:
        if len(text) > LARGEST:
            raise ValueError(f"it has more than {LARGEST} octets")
        return msgspec.json.decode(text, type=Proof)
    except ValueError as error:
        raise BadRequest(
            f"This is no proof of an entry: {error}.", next_step="Name a file that 'certwright audit prove' made."
        ) from None


def verify(proof: Proof, trusted: bytes) -> Proven:
    """What the proof shows, when the journal's key has the fingerprint `trusted`. Raises `JournalBroken`.

    Whoever asks has that fingerprint from elsewhere: a proof that names its own judge proves nothing.
    """
    head = _signed_head(proof, trusted)
    body = proof.entry.encode()
    chain = link(proof.before, leaf_hash(body))
    for leaf in proof.after:
        chain = link(chain, leaf)
    if chain != head.head:
        _broken("its bytes do not lead to the head that was signed")
    lost = head.size - 1 - proof.index - len(proof.after)
    if proof.index < 0 or lost < 0:
        _broken(f"entry {proof.index} cannot stand there under a head over {head.size} entries")
    return Proven(_fields(body), proof.index, head.origin, head.size, lost)


def demand_issuance(proven: Proven, der: bytes) -> None:
    """Returns when the entry tells of the issuance of exactly this certificate. Raises `JournalBroken`."""
    certificate = x509.load_der_x509_certificate(der)
    said, detail = proven.entry, proven.entry["detail"]
    if said["action"] not in ISSUED:
        _broken(f"it tells of {said['action']}, not of an issuance")
    whole, tbs = (hashlib.sha256(one).hexdigest() for one in (der, certificate.tbs_certificate_bytes))
    if detail.get("tbs_sha256") != tbs or detail.get("sha256", whole) != whole:
        _broken(f"it tells of {said['object']}, not of the certificate {serial_hex(certificate.serial_number)}")


def fingerprint(spki: bytes) -> bytes:
    """SHA-256 of a SubjectPublicKeyInfo: how the ceremony's transcript and 'key show' name the journal's key."""
    return hashlib.sha256(spki).digest()


def _signed_head(proof: Proof, trusted: bytes) -> Checkpoint:
    if fingerprint(proof.key) != trusted:
        _broken(f"it is by the key {fingerprint(proof.key).hex()}, not by the one that you trust")
    text = proof.checkpoint.encode()
    try:
        head, key = parse_checkpoint(text), load_spki(proof.key)
    except (BadRequest, BadPublicKey) as error:
        _broken(str(error).rstrip("."))
    if not algorithm_of(key).verifies(key, proof.signature, text):
        _broken("the signature over its head is not by the journal's key")
    return head


def _fields(body: bytes) -> Mapping[str, Any]:
    try:
        fields = entry.read(body)
        msgspec.convert(fields, _Said)
        return fields
    except ValueError as error:
        _broken(f"its bytes are no entry: {error}")


def _broken(why: str) -> NoReturn:
    raise JournalBroken(
        f"The proof does not hold: {why}.",
        next_step="Believe nothing of it. Who keeps the journal finds the place by 'certwright audit verify'.",
    )
