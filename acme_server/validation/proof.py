"""What every kind of challenge has in common: what is to be proved, how it is asked, and what came of it."""

from collections.abc import Callable
from dataclasses import dataclass

from acme_server.validation.wire import Answer, Outcome, Question, Step
from ca.names import is_wildcard, without_star
from ca.records import Name, NameKind


@dataclass(frozen=True, slots=True)
class Proof:
    """What one challenge is about: a name as it was ordered, a token, and the account by key and URL."""

    name: Name
    token: str
    thumbprint: str
    account: str = ""

    @property
    def key_authorization(self) -> str:
        """What has to be shown (RFC 8555 §8.1)."""
        return f"{self.token}.{self.thumbprint}"

    @property
    def host(self) -> Name:
        """The name at which it has to be shown: a wildcard's domain (RFC 8555 §7.1.4)."""
        return without_star(self.name)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a fetch proves. `error` is the ACME error type (`connection`, `dns`, …), empty when the challenge is met.

    `again` says that another try may end otherwise: it does not for an address that policy forbids.
    """

    error: str = ""
    detail: str = ""
    again: bool = False
    trail: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of challenge. `question` and `judge` are pure; the fetcher does the asking."""

    type: str
    suits: Callable[[Name], bool]
    """Whether it can prove control over a name."""

    question: Callable[[Proof, float], Question]
    """The fetch that can prove it, within so many seconds."""

    judge: Callable[[Answer, Proof], Verdict]
    """What the answer proves."""


def is_dns(name: Name) -> bool:
    """Host names and wildcards."""
    return name.kind is NameKind.DNS


def is_host(name: Name) -> bool:
    """What a server can listen at: a host name or an address."""
    return not is_wildcard(name)


def failed(answer: Answer) -> Verdict:
    """The verdict on a fetch that came to no answer."""
    match answer.outcome:
        case Outcome.DNS | Outcome.CONNECTION | Outcome.TLS:
            return Verdict(answer.outcome.value, answer.detail, True, answer.trail)
        case _:
            return Verdict("unauthorized", answer.detail, False, answer.trail)
