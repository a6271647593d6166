"""Policy: may this asker have this certificate? Rules take values and raise; nothing is fetched.

`Policy.permit` is a list of rules in the order in which a person would ask. Every rule denies by default.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ca.config import Config
from ca.errors import CAError, PolicyDenied
from ca.keycheck import check_key
from ca.lint.constraints import permits
from ca.lint.draft import issuer_facts
from ca.names import Pattern, general_name, is_wildcard, permitted, reserved
from ca.profiles import OWN_PROFILE, Profile, certificate_period
from ca.records import Issuer, IssueRequest, Name

MAX_NAMES = 1000
MAX_COMMON_NAME = 64  # ub-common-name, RFC 5280 appendix A


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one rule says of a request; `detail` and `next_step` are empty where it agrees."""

    rule: str
    ok: bool
    detail: str = ""
    next_step: str = ""


def _verdict(words: str, rule: Callable[[], object]) -> Verdict:
    try:
        rule()
    except CAError as refusal:
        return Verdict(words, False, refusal.detail, refusal.next_step)
    return Verdict(words, True)


class Policy:
    """The rules of one configuration. `permitted` empty means that the issuer is unconstrained (X-12)."""

    def __init__(self, config: Config, profiles: Mapping[str, Profile]) -> None:
        self._profiles = profiles
        self._reserved = reserved(config)
        self._permitted = permitted(config)

    def permit(self, request: IssueRequest, profile: Profile, issuer: Issuer, now: int) -> None:
        """Returns when every rule agrees. Raises `PolicyDenied` with the first that does not, or `BadPublicKey`."""
        for _, rule in self._rules(request, profile, issuer, now):
            rule()

    def judge(self, request: IssueRequest, profile: Profile, issuer: Issuer, now: int) -> tuple[Verdict, ...]:
        """What each rule says, in the order in which they are asked; never raises for what a rule forbids."""
        return tuple(_verdict(words, rule) for words, rule in self._rules(request, profile, issuer, now))

    def _rules(
        self, request: IssueRequest, profile: Profile, issuer: Issuer, now: int
    ) -> tuple[tuple[str, Callable[[], object]], ...]:
        """The rules with their words, in the order in which a person would ask."""
        return (
            ("the profile may be used", lambda: self._permit_profile(request, profile)),
            ("the CA issues to subscribers", lambda: self._permit_issuer(issuer)),
            ("the profile takes such a key", lambda: self._permit_key(request, profile)),
            ("every name is permitted", lambda: self._permit_names(request, profile)),
            ("the CA's own name constraints permit them", lambda: self._permit_constraints(request.names, issuer)),
            ("the common name is one of the names", lambda: self._permit_common_name(request)),
            ("such a life can be had", lambda: profile.period(request, now, certificate_period(issuer.certificate))),
        )

    def permit_name(self, name: Name, profile: Profile, issuer: Issuer) -> None:
        """One name for a subscriber, before there is a key: what an ACME order asks first. Raises `PolicyDenied`."""
        self._permit_name(name, profile)
        self._permit_foreign(name)
        self._permit_constraints((name,), issuer)

    def _permit_profile(self, request: IssueRequest, profile: Profile) -> None:
        if self._profiles.get(request.profile) is not profile:
            raise PolicyDenied(f"The profile {request.profile!r} is not the one that was chosen.")
        if profile.name == OWN_PROFILE and not _is_system(request):
            raise PolicyDenied(f"The profile {OWN_PROFILE} is for Certwright itself.", next_step="Use another profile.")

    def _permit_issuer(self, issuer: Issuer) -> None:
        if issuer.kind != "issuing" or issuer.state != "active":
            raise PolicyDenied(f"{issuer.id} does not issue to subscribers.", next_step="Use an active issuing CA.")

    def _permit_key(self, request: IssueRequest, profile: Profile) -> None:
        key_type = check_key(request.public_key)
        if key_type not in profile.key_types:
            raise PolicyDenied(
                f"The profile {profile.name} takes no {key_type} keys.",
                next_step=f"Use one of {', '.join(sorted(profile.key_types))}.",
            )

    def _permit_names(self, request: IssueRequest, profile: Profile) -> None:
        if not request.names:
            raise PolicyDenied("No name is asked for.", next_step="Ask for at least one name.")
        if len(request.names) > MAX_NAMES or len(set(request.names)) != len(request.names):
            raise PolicyDenied(f"More than {MAX_NAMES} names, or one name twice.", next_step="Ask for fewer names.")
        for name in request.names:
            self._permit_name(name, profile)
            if not _is_system(request):
                self._permit_foreign(name)

    def _permit_name(self, name: Name, profile: Profile) -> None:
        if name.kind not in profile.name_kinds:
            raise PolicyDenied(f"The profile {profile.name} has no names of the kind {name.kind} ({name.value}).")
        if is_wildcard(name) and not profile.allow_wildcard:
            raise PolicyDenied(f"The profile {profile.name} has no wildcard names ({name.value}).")
        if self._permitted and not _inside(name, self._permitted):
            raise PolicyDenied(
                f"{name.value} lies outside what this CA may certify.", next_step="See ca.permitted_names."
            )
        if profile.permitted and not _inside(name, profile.permitted):
            raise PolicyDenied(
                f"{name.value} lies outside the profile {profile.name}.",
                next_step=f"It permits {', '.join(map(str, profile.permitted))}.",
            )

    def _permit_constraints(self, names: Iterable[Name], issuer: Issuer) -> None:
        """The issuer's own certificate has the last word (X-12), whatever the configuration says today."""
        constraints = issuer_facts(issuer.certificate).constraints
        if constraints is None:
            return
        for name in names:
            if not permits(constraints, general_name(name)):
                raise PolicyDenied(
                    f"{name.value} lies outside the name constraints of {issuer.id}.",
                    next_step="Wider constraints need a new generation of the issuer.",
                )

    def _permit_foreign(self, name: Name) -> None:
        for pattern in self._reserved:
            if pattern.touches(name):
                raise PolicyDenied(
                    f"{name.value} is reserved: {pattern} belongs to Certwright itself.",
                    next_step="Ask for another name.",
                )

    def _permit_common_name(self, request: IssueRequest) -> None:
        common_name = request.common_name
        if not common_name:
            return
        if common_name not in {name.value for name in request.names} or len(common_name) > MAX_COMMON_NAME:
            raise PolicyDenied(
                f"The common name {common_name!r} is not one of the names, or is longer than {MAX_COMMON_NAME}.",
                next_step="Leave it out: the names are in subjectAltName.",
            )


def _is_system(request: IssueRequest) -> bool:
    return request.actor.kind == "system"


def _inside(name: Name, patterns: tuple[Pattern, ...]) -> bool:
    return any(pattern.matches(name, allow_wildcard=True) for pattern in patterns)
