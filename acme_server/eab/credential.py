"""Credentials: what one says, and what it lets its accounts do. Values and rules alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from ca.errors import BadRequest, PolicyDenied
from ca.names import Pattern
from ca.profiles import Profile
from ca.records import Name

WAIVER_LIFE = 90 * 86400
"""Seconds that a credential which waives challenges lives at most."""

LONGEST_LIFE = 366 * 86400
"""Seconds that any credential lives at most."""

WAIVED_PROFILE_LIFE = 7 * 86400
"""Seconds that a certificate lasts at most whose names nobody proved."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a credential is made for.

    `patterns` empty means every name that the profile permits, `profiles` empty every profile on offer, `networks`
    empty from anywhere. `quota` is in orders a day, `most_accounts` how many accounts may be bound; 0 is no bound.
    """

    name: str
    patterns: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    life: int = WAIVER_LIFE
    quota: int = 0
    most_accounts: int = 0
    allow_wildcard: bool = False
    waives_challenges: bool = False


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential without its key; `accounts` are bound to it so far. See `Scope`."""

    id: str
    name: str
    patterns: tuple[str, ...]
    profiles: tuple[str, ...]
    networks: tuple[str, ...]
    quota: int
    most_accounts: int
    allow_wildcard: bool
    waives_challenges: bool
    created_by: str
    created_at: int
    expires_at: int
    accounts: int = 0
    revoked_at: int = 0

    def status(self, now: int) -> str:
        """valid, used (no further account may be bound), expired or revoked."""
        if self.revoked_at:
            return "revoked"
        if now >= self.expires_at:
            return "expired"
        return "used" if 0 < self.most_accounts <= self.accounts else "valid"

    def permit_profile(self, profile: str) -> None:
        """Raises `PolicyDenied` for a profile outside the scope."""
        if self.profiles and profile not in self.profiles:
            raise PolicyDenied(
                f"The external account may not use the profile {profile!r}.",
                next_step=f"It may use {', '.join(self.profiles)}.",
            )

    def permit_name(self, name: Name) -> None:
        """Raises `PolicyDenied` for a name outside the scope."""
        if self.patterns and not self._holds(name):
            raise PolicyDenied(
                f"The external account may not have {name.value}.", next_step=f"It covers {', '.join(self.patterns)}."
            )

    def admits(self, address: str) -> bool:
        """Whether a request may come from there."""
        return not self.networks or _within(address, self.networks)

    def waives(self, profile: Profile, address: str, now: int) -> bool:
        """Whether names inside the scope need no proof, for a short certificate and a request from the right place."""
        return (
            self.waives_challenges
            and self.status(now) in ("valid", "used")
            and profile.max_validity <= WAIVED_PROFILE_LIFE
            and bool(self.networks)
            and _within(address, self.networks)
        )

    def _holds(self, name: Name) -> bool:
        return any(one.matches(name, allow_wildcard=self.allow_wildcard) for one in _patterns(self.patterns))


def demand_sound(scope: Scope, profiles: Sequence[Profile]) -> None:
    """Raises `BadRequest` for a scope that cannot be meant: above all for a waiver without bounds."""
    if not 0 < scope.life <= LONGEST_LIFE:
        raise BadRequest("A credential lives at most 366 days.", next_step="Ask for --life 90d or less.")
    for text in scope.patterns:
        Pattern.parse(text)
    _networks(scope.networks)
    if scope.waives_challenges:
        _demand_bounds(scope, profiles)


def _demand_bounds(scope: Scope, profiles: Sequence[Profile]) -> None:
    wanted = {
        "names: --allow PATTERN": bool(scope.patterns),
        "source networks: --from NETWORK": bool(scope.networks),
        "profiles: --profile NAME": bool(scope.profiles),
        "an end within 90 days: --life 90d": scope.life <= WAIVER_LIFE,
        "profiles of at most 7 days": all(one.max_validity <= WAIVED_PROFILE_LIFE for one in profiles),
    }
    missing = [what for what, there in wanted.items() if not there]
    if missing:
        raise BadRequest("A waiver of challenges needs bounds.", next_step=f"Give {'; '.join(missing)}.")


@lru_cache(maxsize=1024)
def _patterns(texts: tuple[str, ...]) -> tuple[Pattern, ...]:
    return tuple(map(Pattern.parse, texts))


@lru_cache(maxsize=1024)
def _networks(texts: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(text) for text in texts)
    except ValueError as error:
        raise BadRequest(f"{error}.", next_step="Write networks such as 10.0.0.0/8 or 192.0.2.7/32.") from None


def _within(address: str, networks: tuple[str, ...]) -> bool:
    try:
        return any(ip_address(address) in network for network in _networks(networks))
    except ValueError:
        return False
