"""One table from errors to problems; what is not in it is nobody's business outside (A-14)."""

import inspect
from collections.abc import Iterator

import pytest

from acme_server import errors as acme
from acme_server import issuance, problems
from acme_server.validation import wire
from acme_server.validation.causes import Cause
from ca import authority  # noqa: F401 - so that every error of its rooms is known, whichever tests ran before
from ca import errors as ca
from ca.errors import CAError

# RFC 8555 §6.7.
TYPES = {
    "accountDoesNotExist", "alreadyRevoked", "badCSR", "badNonce", "badPublicKey", "badRevocationReason",
    "badSignatureAlgorithm", "caa", "compound", "connection", "dns", "externalAccountRequired", "incorrectResponse",
    "invalidContact", "malformed", "orderNotReady", "rateLimited", "rejectedIdentifier", "serverInternal", "tls",
    "unauthorized", "unsupportedContact", "unsupportedIdentifier", "userActionRequired",
    "alreadyReplaced", "invalidProfile",  # RFC 9773, draft-ietf-acme-profiles
    "autoRenewalCanceled", "autoRenewalExpired", "autoRenewalCancellationInvalid",  # RFC 8739
    "autoRenewalRevocationNotSupported",
}  # fmt: skip


def family(kind: type[CAError] = CAError) -> Iterator[type[CAError]]:
    yield kind
    for one in kind.__subclasses__():
        yield from family(one)


FAMILY = sorted(set(family()), key=lambda kind: kind.__name__)
MORE = {"detail": "the inner detail", "retry_after": 5, "allowed": "POST", "terms": "https://ca.test/terms", "account": "https://ca.test/acct/1",
        "cause": Cause.DNS_LATE, "facts": {}, "refusals": (acme.Refusal("dns", "x", "no"),)}  # fmt: skip


def make(kind: type[CAError]) -> CAError:
    wanted = inspect.signature(kind).parameters
    return kind(**{name: value for name, value in MORE.items() if name in wanted})


@pytest.mark.parametrize("kind", FAMILY, ids=lambda kind: kind.__name__)
def test_A14_every_error_is_a_problem_of_rfc_8555(kind: type[CAError]) -> None:
    made = problems.problem(make(kind))
    assert made["type"].removeprefix(problems.NAMESPACE) in TYPES
    assert 400 <= made["status"] < 600
    if made["status"] >= 500:
        assert "inner" not in made["detail"]
    else:
        assert "the inner detail" in made["detail"]


OWN = [kind for kind in FAMILY if kind.__module__.startswith(("ca.errors", "acme_server"))]


def test_every_error_of_our_own_side_is_serverinternal() -> None:
    inside = {ca.HSMError, ca.StoreUnavailable, ca.LintFailed, ca.SealBroken, ca.IssuanceMismatch, ca.Abandoned,
              ca.JournalBroken, issuance.NotClaimed, wire.FetcherUnavailable, CAError}  # fmt: skip
    for kind in OWN:
        if issubclass(kind, tuple(inside - {CAError})) or kind is CAError:
            assert problems.line(make(kind))[0] == "serverInternal", kind


def test_a_new_error_says_nothing_of_itself() -> None:
    """Deny by default: a class that nobody thought of here."""

    class Unthought(CAError):
        code = "unthought"

    assert problems.problem(Unthought("secret")) == {
        "type": problems.NAMESPACE + "serverInternal",
        "detail": problems._INTERNAL,
        "status": 500,
    }


def test_codes_are_unique_and_ours_begin_with_acme() -> None:
    codes = [kind.code for kind in OWN]
    assert len(codes) == len(set(codes))
    for kind in OWN:
        assert kind.code.startswith("acme-") is kind.__module__.startswith("acme_server")


def test_additional_members() -> None:
    assert problems.problem(make(acme.BadSignatureAlgorithm))["algorithms"][0] == "ES256"
    assert problems.problem(make(acme.UserActionRequired))["instance"] == MORE["terms"]
    (sub,) = problems.problem(make(acme.RejectedIdentifier))["subproblems"]
    assert sub["identifier"] == {"type": "dns", "value": "x"}
