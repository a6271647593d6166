"""Profiles: what kinds of certificates there are, compiled and checked once, when a process starts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import ExtendedKeyUsageOID

from ca.config import Config, ProfileConfig
from ca.errors import BadName, ConfigError, PolicyDenied
from ca.keycheck import KEY_TYPES
from ca.names import Pattern
from ca.records import IssueRequest, NameKind

EXTENDED_KEY_USAGES = {
    "serverAuth": ExtendedKeyUsageOID.SERVER_AUTH,
    "clientAuth": ExtendedKeyUsageOID.CLIENT_AUTH,
}
NO_REV_AVAIL = ObjectIdentifier("2.5.29.56")
"""noRevAvail (RFC 9608): this certificate is never revoked, it is too short-lived for that."""

OWN_PROFILE = "own"
"""The profile of the product's own doors: always there, and for the system alone."""

CLOCK_TOLERANCE = 300
"""Seconds that an asked notBefore may lie ahead, for askers whose clock is fast."""

_NO_REVOCATION_LIFE = 7 * 86400
_MAX_LIFE = 10 * 366 * 86400


@dataclass(frozen=True, slots=True)
class Period:
    """notBefore and notAfter in epoch seconds, both inclusive (RFC 5280 §4.1.2.5): N seconds end at start + N - 1."""

    not_before: int
    not_after: int

    @property
    def seconds(self) -> int:
        """How many seconds it lasts (INC-08: both ends count)."""
        return self.not_after - self.not_before + 1


@lru_cache(maxsize=64)
def certificate_period(der: bytes) -> Period:
    """The life of a certificate in DER."""
    certificate = x509.load_der_x509_certificate(der)
    return Period(int(certificate.not_valid_before_utc.timestamp()), int(certificate.not_valid_after_utc.timestamp()))


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of certificate, with every combination of its settings already known to be good.

    `permitted` empty means: whatever the issuer permits. Times are in seconds.
    """

    name: str
    key_types: frozenset[str]
    usages: tuple[ObjectIdentifier, ...]
    name_kinds: frozenset[NameKind]
    permitted: tuple[Pattern, ...]
    allow_wildcard: bool
    validity: int
    max_validity: int
    backdate: int
    no_revocation: bool
    description: str = ""

    @property
    def for_servers(self) -> bool:
        """Whether holders answer TLS connections."""
        return ExtendedKeyUsageOID.SERVER_AUTH in self.usages

    @classmethod
    def compile(cls, name: str, config: ProfileConfig) -> "Profile":
        """The profile of that configuration. Raises one `ConfigError` that names everything wrong in it."""
        faults = list(_faults(config))
        if faults:
            raise ConfigError(f"profiles.{name}: {'; '.join(faults)}.", next_step="See docs/profiles.md.")
        return cls(
            name=name,
            key_types=frozenset(config.key_types),
            usages=tuple(EXTENDED_KEY_USAGES[usage] for usage in dict.fromkeys(config.extended_key_usage)),
            name_kinds=frozenset(map(NameKind, config.name_kinds)),
            permitted=tuple(map(Pattern.parse, config.permitted_names)),
            allow_wildcard=config.allow_wildcard,
            validity=config.validity,
            max_validity=config.max_validity or config.validity,
            backdate=config.backdate,
            no_revocation=config.no_revocation,
            description=config.description or _described(config),
        )

    def period(self, request: IssueRequest, now: int, issuer: Period) -> Period:
        """The life of a certificate for this request, inside the issuer's own (X-05, X-16).

        What the asker fixed is honoured to the second or refused (`PolicyDenied`); what the profile chose is
        shortened where the issuer ends earlier.
        """
        asked = _asked(request)
        start = self._start(request, now, issuer)
        end = request.not_after or start + (request.validity or self.validity) - 1
        if end > issuer.not_after and not asked:
            end = issuer.not_after
        period = Period(start, end)
        self._check(period, now, issuer)
        return period

    def _start(self, request: IssueRequest, now: int, issuer: Period) -> int:
        if request.not_before:
            return request.not_before
        life = request.not_after - now if request.not_after else request.validity or self.validity
        earliest = max(now - min(self.backdate, max(life, 0) // 10), issuer.not_before)
        if request.not_after:
            # "Ninety days from now" is not refused for the backdating that the asker knows nothing of.
            earliest = max(earliest, request.not_after - self.max_validity + 1)
        return min(earliest, now)

    def _check(self, period: Period, now: int, issuer: Period) -> None:
        if not now - self.backdate <= period.not_before <= now + CLOCK_TOLERANCE or period.not_after <= now:
            raise PolicyDenied(
                "The asked notBefore or notAfter does not lie around now.",
                next_step="Leave them out: the certificate is then valid at once.",
            )
        if period.seconds > self.max_validity:
            raise PolicyDenied(
                f"The profile {self.name} lasts at most {self.max_validity} s, and {period.seconds} s are asked for.",
                next_step="Ask for a shorter life.",
            )
        if period.not_before < issuer.not_before or period.not_after > issuer.not_after:
            raise PolicyDenied(
                "The issuer does not live as long as that.", next_step="Ask for a shorter life, or rotate the issuer."
            )


def _described(config: ProfileConfig) -> str:
    """`serverAuth for 90 days`: what can be said of a profile that nobody described."""
    days, rest = divmod(config.validity, 86400)
    return f"{' and '.join(config.extended_key_usage)} for {f'{config.validity} seconds' if rest else f'{days} days'}"


def _asked(request: IssueRequest) -> bool:
    return bool(request.not_before or request.not_after or request.validity)


def compile_all(config: Config) -> dict[str, Profile]:
    """Every profile of the configuration by its name, and the product's own. Raises `ConfigError`."""
    if OWN_PROFILE in config.profiles:
        raise ConfigError(f"profiles.{OWN_PROFILE}: this name is the product's own.", next_step="Choose another name.")
    profiles = {name: Profile.compile(name, one) for name, one in config.profiles.items()}
    _check_offered(config, profiles)
    _check_lives(config, profiles)
    own = ProfileConfig(validity=min(90 * 86400, config.signer.longest_life))
    return profiles | {OWN_PROFILE: Profile.compile(OWN_PROFILE, own)}


def _check_lives(config: Config, profiles: dict[str, Profile]) -> None:
    """The signer would refuse what lasts longer; whoever writes the profile hears it at once."""
    long = sorted(name for name, one in profiles.items() if one.max_validity > config.signer.longest_life)
    if long:
        raise ConfigError(
            f"profiles.{', profiles.'.join(long)}: longer than signer.longest_life ({config.signer.longest_life} s).",
            next_step="Shorten the profile; a longer signer.longest_life holds for issuing keys made after it was set.",
        )


def _check_offered(config: Config, profiles: dict[str, Profile]) -> None:
    unknown = [name for name in config.acme.profiles if name not in profiles]
    if unknown:
        raise ConfigError(
            f"acme.profiles: {', '.join(unknown)} is no profile.", next_step=f"There are {', '.join(sorted(profiles))}."
        )


# --- what cannot be combined --------------------------------------------------------------------


def _faults(config: ProfileConfig) -> Iterator[str]:
    yield from _unknown("key_types", config.key_types, KEY_TYPES)
    yield from _unknown("extended_key_usage", config.extended_key_usage, EXTENDED_KEY_USAGES)
    yield from _unknown("name_kinds", config.name_kinds, tuple(NameKind))
    yield from _name_faults(config)
    yield from _life_faults(config)


def _unknown(key: str, values: Iterable[str], known: Iterable[str]) -> Iterator[str]:
    """Deny by default: an empty list permits nothing, so it cannot be meant."""
    if not values:
        yield f"{key} is empty"
    for value in values:
        if value not in known:
            yield f"{key} has {value!r}, which is none of {', '.join(known)}"


def _name_faults(config: ProfileConfig) -> Iterator[str]:
    if config.allow_wildcard and NameKind.DNS not in config.name_kinds:
        yield "allow_wildcard without dns in name_kinds"
    for text in config.permitted_names:
        try:
            kind = Pattern.parse(text).kind
        except BadName as error:
            yield f"permitted_names: {error.detail}"
        else:
            if kind not in config.name_kinds:
                yield f"permitted_names has {text!r}, but name_kinds has no {kind}"


def _life_faults(config: ProfileConfig) -> Iterator[str]:
    longest = config.max_validity or config.validity
    if config.validity < 60:
        yield "validity is under a minute"
    if longest < config.validity:
        yield "max_validity is below validity"
    if longest > _MAX_LIFE:
        yield "max_validity is over ten years"
    if config.no_revocation and longest > _NO_REVOCATION_LIFE:
        yield "no_revocation is for lives of at most 7 days (RFC 9608)"
    if config.backdate * 10 > config.validity:
        yield "backdate is over a tenth of validity"
