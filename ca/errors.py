"""One family of errors for the whole house.

Each class has a stable `code` (documented in docs/errors.md), the exit code of the command line
(0 ok, 1 failed, 2 usage, 3 not found, 4 denied by policy, 5 HSM, 6 waits for approval), and carries
what happened (`detail`) and what to do next (`next_step`). Faces map classes to their own answers in
one table each: `acme_server.problems`, `web.problems`, `cli.problems`.
"""

from typing import ClassVar


class CAError(Exception):
    """Something the authority refuses or cannot do. `str()` never holds a secret."""

    code: ClassVar[str] = "failed"
    exit_code: ClassVar[int] = 1

    def __init__(self, detail: str, *, next_step: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.detail} {self.next_step}".strip()


# --- what the asker did wrong -------------------------------------------------------------------


class BadRequest(CAError):
    """The request is malformed or asks for what does not exist as an option."""

    code = "bad-request"
    exit_code = 2


class ConfigError(BadRequest):
    """The configuration cannot be used; the detail names each key and the nearest valid name."""

    code = "bad-configuration"


class BadCSR(BadRequest):
    """The certification request cannot be parsed, is badly signed, or asks for what no CSR may ask."""

    code = "bad-csr"


class BadPublicKey(BadRequest):
    """The public key is of a kind or quality that is refused (STANDARDS B-01)."""

    code = "bad-public-key"


class BadName(BadRequest):
    """A name, address or name pattern does not follow its grammar."""

    code = "bad-name"


class BadRevocationReason(BadRequest):
    """The revocation reason is unknown or may not be used by this asker (RFC 5280 §5.3.1)."""

    code = "bad-revocation-reason"


class NotFound(CAError):
    """There is no such object, or the asker may not know of it."""

    code = "not-found"
    exit_code = 3


class Denied(CAError):
    """The asker is not known, or known and without the right."""

    code = "denied"
    exit_code = 4


class Unauthenticated(Denied):
    """No valid credential came with the request."""

    code = "unauthenticated"


class StepUpNeeded(Denied):
    """A dangerous act needs a fresh proof that it is the same person; nothing was done."""

    code = "step-up-needed"


class ApprovalNeeded(Denied):
    """A dangerous act was proposed, and waits for a second person; nothing was done."""

    code = "approval-needed"
    exit_code = 6


class PolicyDenied(Denied):
    """Policy forbids it: a name, key type, lifetime or profile outside what is permitted."""

    code = "policy-denied"


class RateLimited(CAError):
    """Too many requests of one kind; `retry_after` is in seconds."""

    code = "rate-limited"

    def __init__(self, detail: str, *, retry_after: int, next_step: str = "") -> None:
        super().__init__(detail, next_step=next_step)
        self.retry_after = retry_after


class Conflict(CAError):
    """The object is not in a state that allows this."""

    code = "conflict"


class AlreadyRevoked(Conflict):
    """The certificate is revoked already (RFC 8555 §7.6)."""

    code = "already-revoked"


class StalePublication(Conflict):
    """A publication with this version or fencing token, or a newer one, is stored already (INC-02)."""

    code = "stale-publication"


class LeaseLost(Conflict):
    """Another node holds the lease now: this runner must stop writing."""

    code = "lease-lost"


class IdempotencyMismatch(CAError):
    """The Idempotency-Key was used before with another body."""

    code = "idempotency-mismatch"


class IdempotencyInFlight(Conflict):
    """The first request with this Idempotency-Key has not ended yet."""

    code = "idempotency-in-flight"


# --- what this side cannot do now ---------------------------------------------------------------


class Unavailable(CAError):
    """It will work later; ask again after `retry_after` seconds."""

    code = "unavailable"
    retry_after = 30


class StoreUnavailable(Unavailable):
    """The database is locked, full, gone or not migrated."""

    code = "store-unavailable"


class SecretUnreadable(Unavailable):
    """A file that should hold a secret is missing, open to others, or holds something else."""

    code = "secret-unreadable"


class ProviderUnavailable(Unavailable):
    """The provider that people sign in at did not answer, or not as OpenID Connect says."""

    code = "provider-unavailable"


class HSMError(Unavailable):
    """The family of everything between here and the key."""

    code = "hsm-error"
    exit_code = 5


class HSMUnavailable(HSMError):
    """Signer, module or token cannot be reached; nothing was signed."""

    code = "hsm-unavailable"
    retry_after = 5


class HSMBusy(HSMError):
    """The signer's queue for this lane is full; nothing was signed."""

    code = "hsm-busy"
    retry_after = 2


class PinRefused(HSMError):
    """The token refused the PIN. It is never tried again by itself: tries are counted by the token."""

    code = "pin-refused"


class PossiblySigned(HSMError):
    """The answer did not come or cannot be trusted: a signature may exist. Never sign that serial again."""

    code = "possibly-signed"


class KeyMismatch(HSMError):
    """The key in the token is not the one pinned at the ceremony, or lacks a demanded attribute."""

    code = "key-mismatch"


class SigningRefused(HSMError):
    """The signer's rules forbid this TBS for this key and peer; nothing was signed."""

    code = "signing-refused"


class LedgerBroken(HSMUnavailable):
    """The signer's ledger is damaged, cut or cannot be written: the signer signs nothing until that is mended."""

    code = "ledger-broken"
    exit_code = 1


class ClockWrong(HSMUnavailable):
    """The wall clock moved by more than five minutes: nothing is signed, expired or purged until it is right."""

    code = "clock-wrong"
    exit_code = 1


class RevokeOnly(Unavailable):
    """The records were set back by a restore: only revocations are taken until an operator confirms them."""

    code = "revoke-only"
    retry_after = 300


# --- what must never happen, and is stopped -----------------------------------------------------


class LedgerDiffers(CAError):
    """The keys signed what the records do not explain, or the records tell of what they did not sign."""

    code = "ledger-differs"


class LintFailed(CAError):
    """The bytes to be signed break a rule of the profile or of RFC 5280; nothing was signed."""

    code = "lint-failed"
    exit_code = 4


class SealBroken(CAError):
    """A sealed key was asked to sign other bytes than those that were linted, or a second time."""

    code = "seal-broken"


class IssuanceMismatch(CAError):
    """What came back signed is not what the intent says (LESSONS: serles returned the CA's certificate)."""

    code = "issuance-mismatch"


class Abandoned(CAError):
    """The sweep abandoned this issuance before it could be stored; its serial is revoked."""

    code = "abandoned"


class JournalBroken(CAError):
    """The journal does not verify; the detail names the place."""

    code = "journal-broken"
