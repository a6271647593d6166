"""What the fetcher does with a question: one look at a stranger's server, in bounded time, octets and steps."""

from dataclasses import dataclass

from acme_server.validation import handshake
from acme_server.validation.addresses import policy
from acme_server.validation.page import Walk
from acme_server.validation.reach import Reach
from acme_server.validation.resolution import Resolver
from acme_server.validation.trail import Trail
from acme_server.validation.wire import (
    Answer,
    AuthorityQuestion,
    FetchFailed,
    HandshakeQuestion,
    PageQuestion,
    Property,
    Question,
    TextQuestion,
)
from ca.config import Config


@dataclass(frozen=True)
class Fetch:
    """Fetches under one configuration; safe to share between threads."""

    reach: Reach
    http_port: int
    tls_alpn_port: int
    redirect_ports: frozenset[int]

    @classmethod
    def over(cls, config: Config) -> "Fetch":
        """Raises `ConfigError` for networks or resolvers that are none."""
        validation = config.acme.validation
        ports = frozenset((80, 443, validation.http_port, validation.tls_alpn_port))
        reach = Reach(policy(config), Resolver.over(validation))
        return cls(reach, validation.http_port, validation.tls_alpn_port, ports)

    def get(self, question: Question) -> Answer:
        """What the other side has to say; a failure is an answer too."""
        trail = Trail(question.seconds)
        try:
            return self._get(question, trail)
        except FetchFailed as failure:
            return Answer(failure.cause, failure.detail, failure.facts, trail=trail.steps, ms=trail.ms)

    def _get(self, question: Question, trail: Trail) -> Answer:
        match question:
            case PageQuestion():
                return Walk(self.reach, question, trail, self.http_port, self.redirect_ports).go()
            case TextQuestion():
                name = f"{question.label}.{question.value}"
                return trail.answer(name, texts=self.reach.resolver.texts(name, trail))
            case AuthorityQuestion():
                name, records = self.reach.resolver.authorities(question.value, trail)
                return trail.answer(name, authorities=tuple(Property(r.flags, r.tag, r.value) for r in records))
            case HandshakeQuestion():
                return handshake.look(self.reach, question, trail, self.tls_alpn_port)
