"""What every kind of challenge has in common: what is to be proved, how it is asked, and what came of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from acme_server.validation.causes import MEANINGS, Cause, tell
from acme_server.validation.wire import Answer, Question, Step
from ca.names import is_wildcard, without_star
from ca.records import Name, NameKind


@dataclass(frozen=True, slots=True)
class Proof:
    """What one challenge is about: a name as it was ordered, a token, and the account by key and URL.

    `issuers` are the names that this CA goes by in the DNS; it is `now`.
    """

    name: Name
    token: str
    thumbprint: str
    account: str = ""
    issuers: tuple[str, ...] = ()
    now: int = 0

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
    """What a fetch proves, and how it went. `facts` are for everybody, `inside` and `trail` for operators.

    What was proved lasts no longer than `until`, if that is not 0.
    """

    cause: Cause
    facts: Mapping[str, str] = field(default_factory=dict)
    inside: str = ""
    trail: tuple[Step, ...] = ()
    ms: int = 0
    until: int = 0

    @classmethod
    def on(cls, answer: Answer, cause: Cause, **facts: str) -> "Verdict":
        """The verdict on an answer."""
        return cls(cause, {**answer.facts, **facts}, answer.detail, answer.trail, answer.ms)

    def then(self, later: "Verdict") -> "Verdict":
        """The verdict on what was asked after this, with the steps of both."""
        moved = tuple(msgspec.structs.replace(step, ms=step.ms + self.ms) for step in later.trail)
        facts = later.facts if later.error else self.facts
        return replace(later, facts=facts, trail=self.trail + moved, ms=self.ms + later.ms, until=self.until)

    @property
    def error(self) -> str:
        """The ACME error type (`connection`, `dns`, …), empty when the challenge is met."""
        return MEANINGS[self.cause].error

    @property
    def again(self) -> bool:
        """Whether another try may end otherwise: it does not for an address that policy forbids."""
        return MEANINGS[self.cause].again

    @property
    def detail(self) -> str:
        """What happened and what to do, for whoever asked."""
        return tell(self.cause, self.facts)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of challenge. `question` and `judge` are pure; the fetcher does the asking."""

    type: str
    suits: Callable[[Name], bool]
    """Whether it can prove control over a name."""

    question: Callable[[Proof, float], Question]
    """The fetch that can prove it, within so many seconds."""

    weigh: Callable[[Answer, Proof], Verdict]
    """What an answer proves; asked only when one of the kind came."""

    has_token: bool = True
    """Whether clients are shown a token."""


def judge(kind: Kind, answer: Answer, proof: Proof) -> Verdict:
    """What an answer proves, whatever came: the fetcher never says itself that a challenge is met."""
    if answer.cause is Cause.FETCHED:
        return kind.weigh(answer, proof)
    return Verdict.on(answer, answer.cause if answer.error else Cause.UNREACHABLE)


def is_dns(name: Name) -> bool:
    """Host names and wildcards."""
    return name.kind is NameKind.DNS


def is_host(name: Name) -> bool:
    """What a server can listen at: a host name or an address."""
    return not is_wildcard(name)
