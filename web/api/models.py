"""The shapes of the API's JSON, in and out; the OpenAPI document is generated from them."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ca.authority import Revoked
from ca.clock import rfc3339
from ca.records import Certificate, MassRevocation, Publication, Stopwatch, serial_hex

Text = Annotated[str, Field(max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")]
Prose = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")]
Time = Annotated[str, Field(description="RFC 3339, UTC", json_schema_extra={"format": "date-time"})]
Serial = Annotated[str, Field(description="lower-case hexadecimal of even length", pattern="^([0-9a-f]{2}){1,20}$")]


def _no_boolean(value: object) -> object:
    """`true` would pass for one second."""
    if isinstance(value, bool):
        raise ValueError("seconds are a number")
    return value


Duration = Annotated[int, Field(ge=0, le=100 * 366 * 86400, description="seconds"), BeforeValidator(_no_boolean)]
Reason = Literal[
    "unspecified",
    "keyCompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "privilegeWithdrawn",
    "certificateHold",
]


class Inward(BaseModel):
    """What clients send: unknown members are refused, so that a typing error is not silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class IssueBody(Inward):
    """A wish for a certificate. Key and names come from the CSR, everything else from the profile."""

    csr: str = Field(max_length=128 * 1024, description="PKCS #10 in PEM, or DER in base64")
    profile: str = Field("server", max_length=64)
    validity: Duration = Field(0, description="life in seconds; 0 for the profile's own")
    owner: Text = Field("", description="who answers for it; empty for the token's owner")
    tags: list[Text] = Field([], max_length=20, description="labels to find it by: key, or key=value")


class IssueQuery(Inward):
    """The same wish beside a raw CSR in the body."""

    profile: str = Field("server", max_length=64)
    validity: Duration = Field(0, description="life in seconds; 0 for the profile's own")
    owner: Text = Field("", description="who answers for it; empty for the token's owner")


class RevokeBody(Inward):
    """Why a certificate ends before its time."""

    reason: Reason = "unspecified"
    comment: Prose = ""


class CertificateQuery(Inward):
    """A search. Empty members do not restrict."""

    text: Text = Field("", description="prefix of a name, the common name or the serial")
    name: Text = Field("", description="a whole name, or a suffix that begins with *.")
    status: Literal["", "valid", "revoked", "expired", "expiring"] = ""
    expiring_within: Duration = Field(30 * 86400, description="seconds that status=expiring looks ahead")
    profile: Text = ""
    owner: Text = ""
    issuer: Text = ""
    tag: Text = Field("", description="a whole tag, or a key with any value")
    after: Text = Field("", description="`next` of the page before")
    limit: int = Field(100, ge=1, le=1000)


class PublicationQuery(Inward):
    """Where a follower stands, and how long it likes to wait for news."""

    after: int = Field(0, ge=0, le=2**62)
    limit: int = Field(200, ge=1, le=1000)
    wait: int = Field(0, ge=0, le=25, description="seconds to wait when there is nothing new")


class CertificateOut(BaseModel):
    """A certificate as the records office knows it."""

    serial: Serial
    sha256: str = Field(description="of the DER, in hexadecimal")
    status: Literal["valid", "revoked", "expired"]
    profile: str
    names: list[str]
    common_name: str
    issuer: str
    owner: str
    tags: list[str]
    not_before: Time
    not_after: Time
    issued_at: Time
    revoked_at: Time | None
    reason: str | None
    url: str


class IssuedOut(CertificateOut):
    """A certificate with its bytes."""

    certificate: str = Field(description="PEM")
    chain: str = Field(description="PEM: the certificate first, then its intermediates, without the root")


class PageOut(BaseModel):
    """One page of a list; `next` is the `after` of the next one, empty on the last."""

    items: list[CertificateOut]
    next: str


class RevokedOut(BaseModel):
    """A revocation that stands; without `published_in` its publication waits for the HSM."""

    serial: Serial
    revoked_at: Time
    reason: str
    published_in: float | None = Field(description="seconds until OCSP and CRL carried it")
    ocsp_seen_in: float | None = Field(
        description="seconds until every node's OCSP answer told of it, seen from outside"
    )
    crl_seen_in: float | None = Field(description="the same of the CRL")
    good_until: Time | None = Field(description="when the last good answer or list expires for whoever has kept it")


class MassBody(Inward):
    """Which certificates of this token to revoke, and why. What is empty does not restrict; something must."""

    text: Text = Field("", description="prefix of a name, the common name or the serial")
    name: Text = Field("", description="a whole name, or a suffix that begins with *.")
    profile: Text = ""
    owner: Text = ""
    issuer: Text = ""
    public_key: Annotated[str, Field(pattern="^([0-9a-fA-F]{64})?$", description="SHA-256 of the SPKI")] = ""
    reason: Reason = "unspecified"
    comment: Prose = ""
    dry_run: bool = False


class MassOut(BaseModel):
    """A mass revocation and how far it is; of a dry run only `total` says something."""

    id: str
    state: Literal["running", "done", "stopped", "dry-run"]
    total: int
    revoked: int
    skipped: int
    created_at: Time
    updated_at: Time


class PublicationOut(BaseModel):
    """Signed bytes at a path of the status plane."""

    seq: int
    path: str
    version: int
    fence: int
    content_type: str
    this_update: int
    fresh_until: int
    body: str = Field(description="base64", json_schema_extra={"contentEncoding": "base64"})


class PublicationsOut(BaseModel):
    """What was published after a place in the sequence; ask again with `after`."""

    items: list[PublicationOut]
    after: int
    last: int = Field(
        description="the last place in the sequence; below `after`, the database was set back: begin at 0"
    )


class ProblemOut(BaseModel):
    """A problem document (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    request_id: str


# --- from records -------------------------------------------------------------------------------


def certificate_out(one: Certificate, tags: Sequence[str], now: int, base: str) -> dict[str, object]:
    """A `CertificateOut`; `base` is the URL of the collection."""
    serial = serial_hex(one.serial)
    return {
        "serial": serial,
        "sha256": one.sha256,
        "status": one.status(now),
        "profile": one.profile,
        "names": [name.value for name in one.names],
        "common_name": one.common_name,
        "issuer": one.issuer,
        "owner": one.owner,
        "tags": list(tags),
        "not_before": rfc3339(one.not_before),
        "not_after": rfc3339(one.not_after),
        "issued_at": rfc3339(one.issued_at),
        "revoked_at": rfc3339(one.revoked_at) if one.revoked_at else None,
        "reason": one.reason or None,
        "url": f"{base}/{serial}",
    }


def revoked_out(done: Revoked, seen: Stopwatch) -> dict[str, object]:
    """A `RevokedOut`."""
    fact = done.revocation
    return {
        "serial": serial_hex(fact.serial),
        "revoked_at": rfc3339(fact.revoked_at),
        "reason": fact.reason.value,
        "published_in": done.published_in,
        "ocsp_seen_in": seen.ocsp_ms / 1000 if seen.ocsp_ms >= 0 else None,
        "crl_seen_in": seen.crl_ms / 1000 if seen.crl_ms >= 0 else None,
        "good_until": rfc3339(seen.good_until) if seen.good_until else None,
    }


def mass_out(one: MassRevocation) -> dict[str, object]:
    """A `MassOut`."""
    return {
        "id": one.id,
        "state": one.state,
        "total": one.total,
        "revoked": one.revoked,
        "skipped": one.skipped,
        "created_at": rfc3339(one.created_at),
        "updated_at": rfc3339(one.updated_at),
    }


def issued_out(one: Certificate, tags: Sequence[str], chain: bytes, now: int, base: str) -> dict[str, object]:
    """An `IssuedOut`; the chain begins with the certificate itself."""
    end = b"-----END CERTIFICATE-----\n"
    leaf = chain[: chain.index(end) + len(end)]
    return {**certificate_out(one, tags, now, base), "certificate": leaf.decode(), "chain": chain.decode()}


def publication_out(one: Publication) -> dict[str, object]:
    """A `PublicationOut`."""
    from base64 import b64encode

    return {
        "seq": one.seq,
        "path": one.path,
        "version": one.version,
        "fence": one.fence,
        "content_type": one.content_type,
        "this_update": one.this_update,
        "fresh_until": one.fresh_until,
        "body": b64encode(one.body).decode(),
    }
