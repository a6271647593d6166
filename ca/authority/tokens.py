"""Bearer tokens of the CSR API: made and revoked by operators, scoped to profiles and name patterns.

A token is 256 random bits, shown once and stored as its SHA-256. It mints only what its scope covers,
revokes only what it issued, and expires within 90 days.
"""

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from ca.authority import standing
from ca.authority.desk import Desk
from ca.authority.issue import journal_refusal
from ca.errors import BadRequest, NotFound, PolicyDenied, Unauthenticated
from ca.names import Pattern
from ca.records import Actor, ApiToken, Certificate, Event, IssueRequest, Name

PREFIX = "cw_"
MAX_LIFE = 90 * 86400


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a valid bearer token speaks for, and what it may do."""

    token: ApiToken

    @property
    def actor(self) -> Actor:
        """The token as the journal names it."""
        return Actor("token", self.token.id, "bearer")

    def permit(self, names: Iterable[Name], profile: str) -> None:
        """Raises `PolicyDenied` unless the profile and every single name lie inside the token's scope."""
        if profile not in self.token.profiles:
            raise PolicyDenied(
                f"This token may not use the profile {profile!r}.",
                next_step=f"It may use {', '.join(self.token.profiles)}.",
            )
        patterns = [Pattern.parse(text) for text in self.token.patterns]
        for name in names:
            if not any(pattern.matches(name, allow_wildcard=self.token.allow_wildcard) for pattern in patterns):
                raise PolicyDenied(
                    f"This token may not ask for {name.value}.",
                    next_step=f"It covers {', '.join(self.token.patterns)}.",
                )

    def owns(self, certificate: Certificate) -> bool:
        """Whether this token issued that certificate: it may see and revoke no other."""
        return certificate.token == self.token.id


@dataclass(frozen=True, slots=True)
class TokenScope:
    """What a new token may do, and for how long (seconds)."""

    name: str
    profiles: tuple[str, ...]
    patterns: tuple[str, ...]
    life: int = MAX_LIFE
    owner: str = ""
    allow_wildcard: bool = False

    @property
    def is_wide(self) -> bool:
        """Whether it takes wildcards, or a pattern that is wide. Raises `BadName`."""
        return self.allow_wildcard or any(Pattern.parse(text).is_wide for text in self.patterns)


def permit(desk: Desk, principal: Principal, request: IssueRequest) -> None:
    """Returns when the request lies inside the token's scope. A refusal is journalled (B-07) and raised."""
    try:
        principal.permit(request.names, request.profile)
    except PolicyDenied as refusal:
        journal_refusal(desk, request, refusal)
        raise


def create_token(desk: Desk, scope: TokenScope, actor: Actor) -> tuple[ApiToken, str]:
    """Makes a token; answers it and its secret, which is never shown again.

    Raises `BadRequest` for a life over 90 days or an empty scope, `NotFound` for an unknown profile,
    `BadName` for a pattern outside the grammar.
    """
    standing.demand_confirmed(desk)
    if not 0 < scope.life <= MAX_LIFE:
        raise BadRequest("A token lives at most 90 days.", next_step="Ask for --life 90d or less.")
    if not scope.profiles or not scope.patterns:
        raise BadRequest("A token needs a scope.", next_step="Name at least one --profile and one --allow PATTERN.")
    for profile in scope.profiles:
        desk.profile(profile)
    patterns = tuple(str(Pattern.parse(text)) for text in scope.patterns)
    secret = PREFIX + secrets.token_urlsafe(32)
    now = desk.clock()
    token = ApiToken(
        id=secrets.token_hex(8),
        name=scope.name,
        profiles=scope.profiles,
        patterns=patterns,
        created_by=str(actor),
        created_at=now,
        expires_at=now + scope.life,
        owner=scope.owner,
        allow_wildcard=scope.allow_wildcard,
    )
    with desk.store.transaction():
        desk.store.add_token(token, _digest(secret))
        desk.journal.append(
            Event(
                "token.created",
                actor,
                f"token:{token.id}",
                detail={"profiles": list(token.profiles), "patterns": list(patterns), "expires_at": token.expires_at},
            )
        )
    return token, secret


def revoke_token(desk: Desk, token_id: str, actor: Actor) -> None:
    """Ends a token at once and for ever. Raises `NotFound`; ending it twice is no error."""
    with desk.store.transaction():
        desk.store.revoke_token(token_id, desk.clock())
        desk.journal.append(Event("token.revoked", actor, f"token:{token_id}"))


def authenticate(desk: Desk, secret: str) -> Principal:
    """The principal of a bearer token. Raises `Unauthenticated`, the same for unknown, revoked and expired ones.

    The look-up is by SHA-256 of the secret, so comparing takes no time that depends on it.
    """
    refused = Unauthenticated("The bearer token is not valid.", next_step="Ask an operator: 'certwright token create'.")
    if not secret.startswith(PREFIX) or len(secret) > 128:
        raise refused
    try:
        token = desk.store.token_by_digest(_digest(secret))
    except NotFound:
        raise refused from None
    standing.demand_confirmed(desk)
    if token.revoked_at or token.expires_at <= desk.clock():
        raise refused
    return Principal(token)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
