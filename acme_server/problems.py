"""Errors to problem documents (RFC 8555 §6.7, RFC 7807): one table. What is not in it is nobody's business outside."""

from collections.abc import Mapping
from typing import Any

import msgspec

from acme_server import errors as acme
from acme_server.jwk import ALGORITHMS
from ca import errors as ca
from ca.records import Name

NAMESPACE = "urn:ietf:params:acme:error:"
MEDIA_TYPE = "application/problem+json"

Problem = dict[str, Any]

TABLE: Mapping[type[ca.CAError], tuple[str, int]] = {
    # the request
    ca.BadRequest: ("malformed", 400),
    acme.TooLarge: ("malformed", 413),
    acme.NotWhole: ("malformed", 408),
    acme.WrongMethod: ("malformed", 405),
    acme.WrongMediaType: ("malformed", 415),
    acme.NotAcceptable: ("malformed", 406),
    acme.BadNonce: ("badNonce", 400),
    acme.BadSignatureAlgorithm: ("badSignatureAlgorithm", 400),
    ca.BadPublicKey: ("badPublicKey", 400),
    ca.NotFound: ("malformed", 404),
    ca.Conflict: ("malformed", 409),
    ca.RateLimited: ("rateLimited", 429),
    # the asker
    ca.Denied: ("unauthorized", 403),
    acme.AccountDoesNotExist: ("accountDoesNotExist", 400),
    acme.ExternalAccountRequired: ("externalAccountRequired", 403),
    acme.UserActionRequired: ("userActionRequired", 403),
    acme.InvalidContact: ("invalidContact", 400),
    acme.UnsupportedContact: ("unsupportedContact", 400),
    # the order
    ca.BadName: ("rejectedIdentifier", 400),
    acme.UnsupportedIdentifier: ("unsupportedIdentifier", 400),
    ca.PolicyDenied: ("rejectedIdentifier", 403),
    acme.AlreadyReplaced: ("alreadyReplaced", 409),
    acme.InvalidProfile: ("invalidProfile", 400),
    acme.OrderNotReady: ("orderNotReady", 403),
    ca.BadCSR: ("badCSR", 400),
    acme.AutoRenewalCanceled: ("autoRenewalCanceled", 403),
    acme.AutoRenewalExpired: ("autoRenewalExpired", 403),
    acme.CancellationInvalid: ("autoRenewalCancellationInvalid", 400),
    # revocation
    acme.RevocationNotSupported: ("autoRenewalRevocationNotSupported", 403),
    ca.BadRevocationReason: ("badRevocationReason", 400),
    ca.AlreadyRevoked: ("alreadyRevoked", 400),
    # this side
    ca.Unavailable: ("serverInternal", 503),
    ca.CAError: ("serverInternal", 500),
}
"""The nearest class counts: a subclass without a line of its own is treated like its parent."""

_LATER = "The CA cannot do this now. Try again later."
_INTERNAL = "Something is wrong on this side; its operators can find it in their log."


def line(error: ca.CAError) -> tuple[str, int]:
    """The ACME error type, without its namespace, and the HTTP status."""
    return next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)


def problem(error: ca.CAError) -> Problem:
    """The problem document of an error. Errors of this side say that they are, and nothing more."""
    kind, status = line(error)
    if kind == "serverInternal":
        return document(kind, _LATER if status == 503 else _INTERNAL, status)
    made = document(kind, str(error), status)
    match error:
        case acme.BadSignatureAlgorithm():
            made["algorithms"] = list(ALGORITHMS)
        case acme.UserActionRequired():
            made["instance"] = error.terms
        case acme.RejectedIdentifier() if error.refusals:
            made["subproblems"] = [_subproblem(one) for one in error.refusals]
    return made


def document(kind: str, detail: str, status: int) -> Problem:
    """A problem document of an ACME error type."""
    return {"type": NAMESPACE + kind, "detail": detail, "status": status}


def kind_of(value: Problem) -> str:
    """The ACME error type of a problem document."""
    return str(value["type"]).removeprefix(NAMESPACE)


def about(name: Name, kind: str, detail: str) -> Problem:
    """A problem document that belongs to one identifier (RFC 8555 §6.7.1)."""
    return {**document(kind, detail, 403), "identifier": {"type": name.kind.value, "value": name.value}}


def text(value: Problem) -> str:
    """A problem document as it lies in a row."""
    return msgspec.json.encode(value).decode()


def _subproblem(refusal: acme.Refusal) -> Problem:
    identifier = {"type": refusal.kind, "value": refusal.value}
    return {"type": NAMESPACE + "rejectedIdentifier", "detail": refusal.detail, "identifier": identifier}
