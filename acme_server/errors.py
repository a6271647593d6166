"""What only ACME refuses, as part of the one error family; `acme_server.problems` says what each looks like outside."""

from dataclasses import dataclass

from ca.errors import BadName, BadPublicKey, BadRequest, Conflict, Denied, RateLimited


class Malformed(BadRequest):
    """The request does not have the form of RFC 8555."""

    code = "acme-malformed"


class TooLarge(Malformed):
    """The body is larger than any honest request."""

    code = "acme-too-large"


class NotWhole(Malformed):
    """The request broke off, or did not come in time."""

    code = "acme-not-whole"


class WrongMethod(Malformed):
    """The resource does not know this HTTP method; `allowed` are those that it knows (RFC 8555 §6.1, §6.3)."""

    code = "acme-wrong-method"

    def __init__(self, detail: str, *, allowed: str, next_step: str = "") -> None:
        super().__init__(detail, next_step=next_step)
        self.allowed = allowed


class WrongMediaType(Malformed):
    """The body is not application/jose+json (RFC 8555 §6.2)."""

    code = "acme-wrong-media-type"


class NotAcceptable(Malformed):
    """The resource has no form that the client accepts (RFC 8555 §7.4.2)."""

    code = "acme-not-acceptable"


class BadNonce(BadRequest):
    """The nonce is used, expired or not from here; the answer carries a fresh one (RFC 8555 §6.5)."""

    code = "acme-bad-nonce"


class BadSignatureAlgorithm(BadRequest):
    """The JWS is signed by an algorithm that is not taken; the answer names those that are (RFC 8555 §6.2)."""

    code = "acme-bad-signature-algorithm"


class BadAccountKey(BadPublicKey):
    """The JWK cannot be an account key (RFC 8555 §6.2)."""

    code = "acme-bad-account-key"


class AccountDoesNotExist(BadRequest):
    """No account has this URL or key (RFC 8555 §6.2, §7.3.1)."""

    code = "acme-account-does-not-exist"


class Unauthorized(Denied):
    """The account or key lacks the right to do this (RFC 8555 §6.7)."""

    code = "acme-unauthorized"


class ExternalAccountRequired(Denied):
    """New accounts need an external account binding (RFC 8555 §7.3.4)."""

    code = "acme-external-account-required"


class UserActionRequired(Denied):
    """The terms of service have to be agreed to; `terms` is their URL (RFC 8555 §7.3.3)."""

    code = "acme-user-action-required"

    def __init__(self, detail: str, *, terms: str, next_step: str = "") -> None:
        super().__init__(detail, next_step=next_step)
        self.terms = terms


class InvalidContact(BadRequest):
    """A contact URL is no valid one (RFC 8555 §7.3)."""

    code = "acme-invalid-contact"


class UnsupportedContact(BadRequest):
    """A contact URL has a scheme that is not supported (RFC 8555 §7.3)."""

    code = "acme-unsupported-contact"


class UnsupportedIdentifier(BadRequest):
    """The order asks for a kind of identifier that is not supported (RFC 8555 §7.4)."""

    code = "acme-unsupported-identifier"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one identifier of an order, as it was sent, is refused: a subproblem (RFC 8555 §6.7.1)."""

    kind: str
    value: str
    detail: str


class RejectedIdentifier(BadName):
    """The server will not issue for these identifiers (RFC 8555 §7.4)."""

    code = "acme-rejected-identifier"

    def __init__(self, detail: str, *, refusals: tuple[Refusal, ...] = (), next_step: str = "") -> None:
        super().__init__(detail, next_step=next_step)
        self.refusals = refusals


class AlreadyReplaced(Conflict):
    """Another order replaces this certificate already (RFC 9773 §5)."""

    code = "acme-already-replaced"


class InvalidProfile(BadRequest):
    """The order names a profile that is not offered (draft-ietf-acme-profiles §5)."""

    code = "acme-invalid-profile"


class OverLimit(RateLimited):
    """More of one kind than `acme.limits` allows (RFC 8555 §6.6).

    `help_url` says more; empty for the page of limits.
    """

    code = "acme-over-limit"

    def __init__(self, detail: str, *, retry_after: int, help_url: str = "", next_step: str = "") -> None:
        super().__init__(detail, retry_after=retry_after, next_step=next_step)
        self.help_url = help_url


class Paused(OverLimit):
    """The account failed so often for a name that it has to resume it first, at `help_url`."""

    code = "acme-paused"


class OrderNotReady(Denied):
    """The order is not in the state `ready` (RFC 8555 §7.4)."""

    code = "acme-order-not-ready"


class AutoRenewalCanceled(Denied):
    """The order does not renew itself any more (RFC 8739 §3.1.2)."""

    code = "acme-auto-renewal-canceled"


class AutoRenewalExpired(Denied):
    """The order is past its end-date (RFC 8739 §3.3)."""

    code = "acme-auto-renewal-expired"


class CancellationInvalid(BadRequest):
    """An order is to be cancelled that is not valid (RFC 8739 §3.1.2)."""

    code = "acme-cancellation-invalid"


class RevocationNotSupported(Denied):
    """Certificates that renew themselves are cancelled (RFC 8739 §3.1.2)."""

    code = "acme-revocation-not-supported"


class KeyInUse(Conflict):
    """Another account has this key; `account` is its URL (RFC 8555 §7.3.5)."""

    code = "acme-key-in-use"

    def __init__(self, detail: str, *, account: str, next_step: str = "") -> None:
        super().__init__(detail, next_step=next_step)
        self.account = account


class AddressDenied(Denied):
    """Validation may not go to this address (CONTRACT.md, address policy)."""

    code = "acme-address-denied"
