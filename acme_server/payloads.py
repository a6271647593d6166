"""What clients send, by resource. Members that are not named here are ignored (RFC 8555 §7.3, §7.4)."""

from datetime import datetime
from typing import Any, TypeVar

import msgspec

from acme_server.errors import Malformed
from acme_server.strict import json_object

P = TypeVar("P")


class NewAccount(msgspec.Struct, frozen=True, rename="camel"):
    """RFC 8555 §7.3."""

    contact: list[str] | None = None
    terms_of_service_agreed: bool | None = None
    only_return_existing: bool | None = None
    external_account_binding: dict[str, Any] | None = None


class AccountUpdate(msgspec.Struct, frozen=True, rename="camel"):
    """RFC 8555 §7.3.2, §7.3.6."""

    contact: list[str] | None = None
    status: str | None = None
    terms_of_service_agreed: bool | None = None


class Identifier(msgspec.Struct, frozen=True):
    """RFC 8555 §7.1.3, RFC 8738, RFC 9444 §4."""

    type: str
    value: str
    ancestor: str | None = msgspec.field(name="ancestorDomain", default=None)
    subdomains: bool = msgspec.field(name="subdomainAuthAllowed", default=False)


class AutoRenewal(msgspec.Struct, frozen=True, rename="kebab"):
    """RFC 8739 §3.1.1."""

    end_date: str
    lifetime: int
    start_date: str | None = None
    lifetime_adjust: int = 0
    allow_certificate_get: bool = False


class NewOrder(msgspec.Struct, frozen=True, rename="camel"):
    """RFC 8555 §7.4, RFC 9773 §5, RFC 8739 §3.1.1, draft-ietf-acme-profiles §4."""

    identifiers: list[Identifier]
    not_before: str | None = None
    not_after: str | None = None
    replaces: str | None = None
    profile: str | None = None
    auto_renewal: AutoRenewal | None = msgspec.field(name="auto-renewal", default=None)


class OrderUpdate(msgspec.Struct, frozen=True):
    """RFC 8739 §3.1.2."""

    status: str | None = None


class NewAuthorization(msgspec.Struct, frozen=True):
    """RFC 8555 §7.4.1."""

    identifier: Identifier


class AuthorizationUpdate(msgspec.Struct, frozen=True):
    """RFC 8555 §7.5.2."""

    status: str | None = None


class Ready(msgspec.Struct, frozen=True):
    """RFC 8555 §7.5.1: the answer to a challenge is an empty object."""


class Finalize(msgspec.Struct, frozen=True):
    """RFC 8555 §7.4: the CSR in base64url of its DER."""

    csr: str


class Revoke(msgspec.Struct, frozen=True):
    """RFC 8555 §7.6: the certificate in base64url of its DER, and a CRLReason by number."""

    certificate: str
    reason: int | None = None


class KeyChange(msgspec.Struct, frozen=True, rename="camel"):
    """RFC 8555 §7.3.5, inside the inner JWS."""

    account: str
    old_key: dict[str, Any]


def read(payload: bytes, kind: type[P]) -> P:
    """The payload of a POST. Raises `Malformed`, for POST-as-GET too: this resource wants a JSON object."""
    value = json_object(payload, "The payload")
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise Malformed(f"The payload does not fit: {error}.", next_step="See RFC 8555 §7.") from None


def time(text: str | None, member: str) -> int:
    """Epoch seconds of RFC 3339, 0 for none. Raises `Malformed`."""
    if not text:
        return 0
    refused = Malformed(f"{member} is no time of RFC 3339 in whole seconds.", next_step="Write 2030-01-02T03:04:05Z.")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise refused from None
    if moment.tzinfo is None or moment.microsecond or moment.year < 1971:
        raise refused
    return int(moment.timestamp())


def demand_empty(payload: bytes) -> None:
    """Raises `Malformed` unless it is a POST-as-GET (RFC 8555 §6.3; A-09)."""
    if payload:
        raise Malformed("This resource is fetched by POST-as-GET.", next_step="Send an empty payload.")
