"""Frozen values that travel between the rooms. Times are epoch seconds, serials are integers inside."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class SignKind(StrEnum):
    """What a whole TBS is; the signer lets each key sign certain kinds only."""

    CERTIFICATE = "certificate"
    CRL = "crl"
    OCSP = "ocsp"
    CSR = "csr"
    CHECKPOINT = "checkpoint"


class KeyPurpose(StrEnum):
    """What a key exists for; the purpose fixes the kinds it may sign, for life."""

    ROOT = "root"
    ISSUING = "issuing"
    RESPONDER = "responder"
    JOURNAL = "journal"


class Reason(StrEnum):
    """CRLReason (RFC 5280 §5.3.1), by its own names. removeFromCRL belongs to delta CRLs alone."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    CA_COMPROMISE = "cACompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    CERTIFICATE_HOLD = "certificateHold"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"
    AA_COMPROMISE = "aACompromise"


REASON_CODES: Mapping[Reason, int] = {
    Reason.UNSPECIFIED: 0,
    Reason.KEY_COMPROMISE: 1,
    Reason.CA_COMPROMISE: 2,
    Reason.AFFILIATION_CHANGED: 3,
    Reason.SUPERSEDED: 4,
    Reason.CESSATION_OF_OPERATION: 5,
    Reason.CERTIFICATE_HOLD: 6,
    Reason.PRIVILEGE_WITHDRAWN: 9,
    Reason.AA_COMPROMISE: 10,
}


class NameKind(StrEnum):
    """The kinds of subject alternative names that this CA knows."""

    DNS = "dns"
    IP = "ip"
    URI = "uri"


@dataclass(frozen=True, slots=True, order=True)
class Name:
    """One subject alternative name, normal: DNS as lower-case A-labels, IP in RFC 5952 text, URI as given."""

    kind: NameKind
    value: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something: kind is system, operator, account, token or ceremony; method is how it was proved."""

    kind: str
    id: str
    method: str = "local"

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"


SYSTEM = Actor("system", "certwright", "internal")


@dataclass(frozen=True, slots=True)
class Event:
    """One fact for the journal (JOURNAL.md §2).

    `target` is what it is about (`certificate:issuing-g1:01ab…`), `detail` holds JSON values, `personal`
    is stored erasably.
    """

    action: str
    actor: Actor
    target: str
    result: str = "ok"
    reason: str = ""
    key: str = ""
    request_id: str = ""
    detail: Mapping[str, object] = field(default_factory=dict)
    personal: Mapping[str, str] = field(default_factory=dict)


# --- serial numbers -----------------------------------------------------------------------------

SERIAL_OCTETS = 19
SERIAL_FORMAT = 0x01


def make_serial(shard: int, entropy: bytes) -> int:
    """A 19-octet serial: format octet 01, two octets shard id, 16 octets from the CSPRNG (X-02)."""
    if not 0 <= shard <= 0xFFFF or len(entropy) != SERIAL_OCTETS - 3:
        raise ValueError("a serial takes a shard of 0..65535 and 16 octets of entropy")
    return int.from_bytes(bytes([SERIAL_FORMAT]) + shard.to_bytes(2, "big") + entropy, "big")


LEGACY_SHARD = 0xFFFF
ALL_SHARDS = -1
"""Stands where a shard id would, for the CRL over all certificates of an issuer."""


def serial_shard(serial: int) -> int:
    """The shard id that stands in a serial; foreign serials belong to the one legacy shard."""
    raw = serial.to_bytes((serial.bit_length() + 7) // 8 or 1, "big")
    if len(raw) != SERIAL_OCTETS or raw[0] != SERIAL_FORMAT:
        return LEGACY_SHARD
    return int.from_bytes(raw[1:3], "big")


def serial_hex(serial: int) -> str:
    """Lower-case hexadecimal of even length, without sign octet: the outside form of a serial."""
    text = f"{serial:x}"
    return text if len(text) % 2 == 0 else "0" + text


# --- the hierarchy ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Key:
    """A key in a token, by its immutable id (`issuing-g1`); `attributes` were read back from the token."""

    id: str
    purpose: KeyPurpose
    algorithm: str
    spki: bytes
    state: str = "active"
    software: bool = True
    attributes: Mapping[str, object] = field(default_factory=dict)
    created_at: int = 0
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Issuer:
    """One generation of a CA: `id` is immutable (`issuing-g1`), `name` is for people (`issuing`).

    `kind` is `root`, `issuing` or `cross` (another certificate of a CA, ours or not; `key_id` is empty for a foreign
    one); `parent` is the id of the issuer that certified it (empty for a root). `state` is `pre-active` (waits to take
    over), `active`, `retired` (issues no more, but still revokes), `cross-signed` (of a `cross`) or `revoked`.
    `shards` is the number of CRL shards that were opened with it, ids 0 .. shards-1; the records know those of today.
    """

    id: str
    name: str
    kind: str
    key_id: str
    certificate: bytes
    parent: str = ""
    shards: int = 1
    state: str = "active"
    created_at: int = 0

    @property
    def serves(self) -> bool:
        """Whether relying parties ask for its CRLs and OCSP answers: also once it has retired."""
        return self.state in ("active", "retired")


@dataclass(frozen=True, slots=True)
class Responder:
    """A delegated OCSP responder: its key in the signer and its certificate (O-05)."""

    issuer: str
    key_id: str
    certificate: bytes
    not_before: int
    not_after: int


# --- issuance -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class IssueRequest:
    """What an asker wants: a public key (DER SPKI), names, a profile. The certificate is built from this alone.

    `common_name` is empty or equal to one of the names (X-13). `validity` is in seconds, 0 for the
    profile's own. `not_before`/`not_after` are 0 unless the asker fixed them (RFC 8555 §7.4).
    `issuer` is the name of an issuer, empty for the one that the configuration issues from.
    """

    public_key: bytes
    names: tuple[Name, ...]
    profile: str
    actor: Actor
    common_name: str = ""
    validity: int = 0
    not_before: int = 0
    not_after: int = 0
    owner: str = ""
    order: str = ""
    account: str = ""
    token: str = ""
    replaces: str = ""
    issuer: str = ""
    tags: tuple[str, ...] = ()
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Intent:
    """The durable decision to sign: written before the signature, ended by finish or abandonment.

    `state` is `open`, `issued` or `abandoned`; `tbs` is the whole DER TBSCertificate.
    """

    id: str
    issuer: str
    serial: int
    tbs: bytes
    profile: str
    not_before: int
    not_after: int
    actor: Actor
    names: tuple[Name, ...]
    common_name: str = ""
    owner: str = ""
    order: str = ""
    account: str = ""
    token: str = ""
    replaces: str = ""
    request_id: str = ""
    state: str = "open"
    created_at: int = 0


@dataclass(frozen=True, slots=True)
class Revocation:
    """The revocation fact of one serial: OCSP and CRL are two renderings of it (INC-04)."""

    issuer: str
    serial: int
    revoked_at: int
    reason: Reason
    actor: Actor
    not_after: int
    comment: str = ""
    invalidity_date: int = 0


@dataclass(frozen=True, slots=True)
class RevokeRequest:
    """Why certificates end, and who says so. `invalidity_date` is 0 or since when the key may have been misused."""

    reason: Reason
    actor: Actor
    comment: str = ""
    invalidity_date: int = 0
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """How long a revocation took to be seen from outside: milliseconds from `asked_at` until every node's OCSP answer
    and CRL told of it; -1 as long as one does not. `good_until` is when the last good answer, and the last list without
    it, expire for whoever has kept them: 0 when there was none.
    """

    issuer: str
    serial: int
    asked_at: int
    good_until: int
    ocsp_ms: int = -1
    crl_ms: int = -1

    @property
    def runs(self) -> bool:
        """Whether it was not seen everywhere yet."""
        return self.ocsp_ms < 0 or self.crl_ms < 0


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that people are told by a channel, once for each `key`. `lines` are text, `link` a page of the UI.

    It is sent when `sent_at` is above 0, waits for `due_at` while that is, and was given up otherwise; `trouble` says
    what was in the way last.
    """

    id: str
    channel: str
    kind: str
    owner: str
    key: str
    title: str
    lines: tuple[str, ...]
    link: str
    created_at: int
    due_at: int
    sent_at: int = 0
    failures: int = 0
    trouble: str = ""

    @property
    def state(self) -> str:
        """sent, waiting or failed."""
        return "sent" if self.sent_at else "waiting" if self.due_at else "failed"


@dataclass(frozen=True, slots=True)
class MassRevocation:
    """The revocation of all that a query finds. `state` is running, done or stopped; `cursor` says where it stands.

    Of `total` certificates that were found at its beginning `revoked` are, and `skipped` were revoked or expired
    already.
    """

    id: str
    query: "Query"
    request: RevokeRequest
    state: str
    total: int
    revoked: int = 0
    skipped: int = 0
    created_at: int = 0
    updated_at: int = 0
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class Certificate:
    """An issued certificate as the records office keeps it. `status` is derived: valid, revoked or expired."""

    issuer: str
    serial: int
    der: bytes
    sha256: str
    profile: str
    names: tuple[Name, ...]
    not_before: int
    not_after: int
    issued_at: int
    common_name: str = ""
    owner: str = ""
    order: str = ""
    account: str = ""
    token: str = ""
    replaces: str = ""
    revoked_at: int = 0
    reason: str = ""

    def status(self, now: int) -> str:
        """`revoked` wins over `expired`: evidence of a revocation never fades."""
        if self.revoked_at:
            return "revoked"
        return "expired" if now > self.not_after else "valid"


@dataclass(frozen=True, slots=True)
class Query:
    """A search over certificates; empty fields do not restrict. `after` is the keyset cursor of the last page.

    `name` matches a whole DNS name, IP or URI, or every DNS name below a domain (`*.x.test`); `text` matches a
    prefix of any name, the CN or the serial. `status` is valid, revoked, expired or expiring (within
    `expiring_within` seconds). `public_key` is the SHA-256 (hex) of a DER SPKI. `tag` is
    a whole tag (`env=prod`), or a key with any value or none (`env`). `ends_from` and `ends_before` bound
    notAfter, in epoch seconds, where the second is not 0; `issued_until`, where it is not 0, is the last
    second of issue. `limit` is at most 1,000.
    """

    text: str = ""
    name: str = ""
    status: str = ""
    profile: str = ""
    owner: str = ""
    issuer: str = ""
    account: str = ""
    token: str = ""
    public_key: str = ""
    tag: str = ""
    expiring_within: int = 0
    ends_from: int = 0
    ends_before: int = 0
    issued_until: int = 0
    order_by: str = "issued"
    after: str = ""
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Page:
    """One page of certificates; `next` is the cursor of the next one, empty on the last."""

    items: tuple[Certificate, ...]
    next: str = ""


# --- publication --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Publication:
    """Signed bytes at a path of the status plane (`crl/issuing-g1/0000.crl`).

    `version` rises with each new content of the path, `fence` is the publisher's fencing token, `seq` is
    the row's place in the sequence that feeders follow (0 before it is stored). `this_update` and
    `fresh_until` bound HTTP caching; `fresh_until` 0 means that the bytes do not age.
    """

    path: str
    body: bytes
    version: int
    content_type: str
    this_update: int
    fresh_until: int = 0
    fence: int = 0
    seq: int = 0


@dataclass(frozen=True, slots=True)
class BlockedKey:
    """A public key that is known to be compromised, by the SHA-256 (hex) of its SubjectPublicKeyInfo.

    `reported_by` is the actor who said so, `source` the certificate (serial) by whose revocation, empty for none.
    """

    spki_sha256: str
    reported_by: str
    blocked_at: int
    source: str = ""
    comment: str = ""


# --- API tokens ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A bearer token of the CSR API, without its secret. `patterns` are name patterns (CONTRACT.md grammar)."""

    id: str
    name: str
    profiles: tuple[str, ...]
    patterns: tuple[str, ...]
    created_by: str
    created_at: int
    expires_at: int
    owner: str = ""
    allow_wildcard: bool = False
    revoked_at: int = 0
    last_used: int = 0
