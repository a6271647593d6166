"""Frozen rows of ACME objects and the states that they move through, one way only (RFC 8555 §7.1.6; A-18)."""

import secrets
from dataclasses import dataclass, replace
from enum import StrEnum

from acme_server.courses.terms import Terms
from ca.records import Actor, Name, NameKind


def new_id() -> str:
    """128 random bits for URLs and command lines: without a hyphen in front, where it would be an option."""
    made = secrets.token_urlsafe(16)
    return new_id() if made.startswith("-") else made


class AccountStatus(StrEnum):
    """`deactivated` by its owner, `revoked` by the CA: both are final."""

    VALID = "valid"
    DEACTIVATED = "deactivated"
    REVOKED = "revoked"


class OrderStatus(StrEnum):
    """pending → ready → processing → valid; from each of the first three also → invalid.

    One that renews itself: valid → canceled (RFC 8739 §3.1.2).
    """

    PENDING = "pending"
    READY = "ready"
    PROCESSING = "processing"
    VALID = "valid"
    INVALID = "invalid"
    CANCELED = "canceled"


class AuthorizationStatus(StrEnum):
    """pending → valid or invalid; valid → expired, deactivated or revoked; pending → deactivated too."""

    PENDING = "pending"
    VALID = "valid"
    INVALID = "invalid"
    DEACTIVATED = "deactivated"
    EXPIRED = "expired"
    REVOKED = "revoked"


class ChallengeStatus(StrEnum):
    """pending → processing → valid or invalid."""

    PENDING = "pending"
    PROCESSING = "processing"
    VALID = "valid"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Account:
    """An ACME account. `jwk` is the canonical JWK of its key, `terms` the URL of the terms that it agreed to.

    `eab` is the credential that it is bound to, `binding` the JWS (JSON) that bound it; both empty for none. `paused`
    says that it may not order some names.
    """

    id: str
    thumbprint: str
    jwk: str
    status: AccountStatus
    contact: tuple[str, ...]
    terms: str
    created_at: int
    eab: str = ""
    binding: str = ""
    paused: bool = False

    @property
    def actor(self) -> Actor:
        """The account as the journal names it."""
        return Actor("account", self.id, "acme")


@dataclass(frozen=True, slots=True)
class Order:
    """An order. `error` is a problem document (JSON, empty for none), `certificate` a serial in hex.

    In `processing`, `intent` is the issuance under way; empty, the order waits for an HSM until `due_at`
    and is issued for `public_key` (DER) then. `replaces` is the RFC 9773 identifier of a certificate, or empty.
    An order with `auto_renewal` has the newest of its certificates.
    """

    id: str
    account: str
    status: OrderStatus
    profile: str
    identifiers: tuple[Name, ...]
    authorizations: tuple[str, ...]
    not_before: int
    not_after: int
    expires: int
    created_at: int
    error: str = ""
    intent: str = ""
    public_key: bytes = b""
    certificate: str = ""
    due_at: int = 0
    replaces: str = ""
    auto_renewal: Terms | None = None

    def at(self, now: int) -> "Order":
        """The order as of now: past its time it is invalid, whether or not a job has written so already."""
        if now >= self.expires and self.status in (OrderStatus.PENDING, OrderStatus.READY):
            return replace(self, status=OrderStatus.INVALID)
        return self


@dataclass(frozen=True, slots=True)
class Authorization:
    """The right of an account to certificates for one name, once a challenge of it is met; or for all below it too."""

    id: str
    account: str
    kind: NameKind
    value: str
    status: AuthorizationStatus
    expires: int
    created_at: int
    waived_by: str = ""
    subdomains: bool = False

    @property
    def name(self) -> Name:
        """What it is for."""
        return Name(self.kind, self.value)

    def at(self, now: int) -> "Authorization":
        """The authorization as of now: past its time it is expired, or invalid if it never was valid."""
        if now < self.expires:
            return self
        if self.status is AuthorizationStatus.VALID:
            return replace(self, status=AuthorizationStatus.EXPIRED)
        if self.status is AuthorizationStatus.PENDING:
            return replace(self, status=AuthorizationStatus.INVALID)
        return self


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to prove control. `error` is a problem document (JSON, empty for none).

    In `processing` the try number `attempts` is under way; if its result is not there at `due_at`, it is sent
    again. `failures` counts the tries that reached a verdict.
    """

    id: str
    account: str
    authorization_id: str
    type: str
    token: str
    status: ChallengeStatus
    validated_at: int = 0
    error: str = ""
    attempts: int = 0
    failures: int = 0
    due_at: int = 0
