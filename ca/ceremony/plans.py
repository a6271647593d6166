"""What a ceremony is to make: decided and checked before the first key is touched."""

import re
from dataclasses import dataclass, field

from ca.errors import ConfigError
from ca.keycheck import KEY_TYPES
from ca.names import Pattern, subtrees
from ca.records import Reason

DAY = 86400
_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
DEMO_NAME = "DEMO – DO NOT TRUST"
DEMO_LIFE = 30 * DAY
BACKDATE = 3600
"""Seconds that a CA's notBefore lies before the ceremony, so that its first leaves may be backdated too (X-16)."""


@dataclass(frozen=True, slots=True)
class RootPlan:
    """A root: `id` is its immutable generation, times are in seconds.

    `crl_life` is at most twelve months; `spares` CRLs are signed ahead, each starting `crl_overlap` before the
    one before it ends (B-03).
    """

    id: str = "root-g1"
    name: str = "root"
    common_name: str = "Certwright Root G1"
    organization: str = ""
    algorithm: str = "ec-p384"
    life: int = 3650 * DAY
    crl_life: int = 365 * DAY
    crl_overlap: int = 90 * DAY
    spares: int = 3
    owner: str = ""

    def __post_init__(self) -> None:
        _check(self.id, self.common_name, self.algorithm)
        if not DAY <= self.crl_life <= 366 * DAY or not 0 < self.crl_overlap < self.crl_life or self.spares < 0:
            raise ConfigError(f"{self.id}: a root's CRL lasts a day to twelve months, and its successor overlaps it.")
        if self.algorithm == "rsa-2048":  # KC-06: 128 bits of strength at least
            raise ConfigError(f"{self.id}: a root needs a stronger key.", next_step="Use ec-p384 or rsa-4096.")


@dataclass(frozen=True, slots=True)
class IssuingPlan:
    """An issuing CA under a root. `permitted` are the name constraints; without any, `unconstrained` must be said.

    One that `waits` is made and published, and issues nothing before it takes over (`ca.authority.rotation`).
    """

    id: str = "issuing-g1"
    name: str = "issuing"
    common_name: str = "Certwright Issuing G1"
    organization: str = ""
    algorithm: str = "ec-p256"
    life: int = 1825 * DAY
    permitted: tuple[str, ...] = ()
    unconstrained: bool = False
    shards: int = 1
    owner: str = ""
    waits: bool = False
    patterns: tuple[Pattern, ...] = field(init=False)

    def __post_init__(self) -> None:
        _check(self.id, self.common_name, self.algorithm)
        object.__setattr__(self, "patterns", subtrees(self.permitted))
        if bool(self.permitted) == self.unconstrained:
            raise ConfigError(
                f"{self.id}: name constraints are required for an issuing CA.",
                next_step="Set ca.permitted_names, or say --unconstrained (and not both).",
            )
        if not 1 <= self.shards <= 0xFFFF:
            raise ConfigError(f"{self.id}: a CA has 1 to 65535 CRL shards.")


@dataclass(frozen=True, slots=True)
class CrossPlan:
    """Another CA's key that a root certifies: `subject` is its certificate in DER, `id` that of the new certificate.

    `life` in seconds. `permitted` and `path_length` only narrow; without any names, the subject's own constraints stay,
    or `unconstrained` must be said. `request` is a CSR in DER by the subject's key, empty for none.
    """

    id: str
    subject: bytes
    request: bytes = b""
    life: int = 1825 * DAY
    permitted: tuple[str, ...] = ()
    unconstrained: bool = False
    path_length: int | None = None
    patterns: tuple[Pattern, ...] = field(init=False)

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ConfigError(
                f"{self.id!r} is no id of an issuer.", next_step="Use lower-case letters, digits, hyphens."
            )
        object.__setattr__(self, "patterns", subtrees(self.permitted))
        if self.permitted and self.unconstrained:
            raise ConfigError(f"{self.id}: --permit and --unconstrained exclude each other.", next_step="Say one.")


@dataclass(frozen=True, slots=True)
class End:
    """The issuing CA, or cross certificate, that its root revokes, and why."""

    issuer: str
    reason: Reason


def _check(issuer: str, common_name: str, algorithm: str) -> None:
    if not _ID.fullmatch(issuer):
        raise ConfigError(f"{issuer!r} is no id of an issuer.", next_step="Use lower-case letters, digits, hyphens.")
    if not 1 <= len(common_name) <= 64:
        raise ConfigError(f"{issuer}: a common name has 1 to 64 characters.")
    if algorithm not in KEY_TYPES:
        raise ConfigError(f"{issuer}: there is no algorithm {algorithm!r}.", next_step=f"Use {', '.join(KEY_TYPES)}.")


def demo_root() -> RootPlan:
    """The root of a demo: its name says that nobody must trust it, and it is gone in 30 days."""
    return RootPlan(
        common_name=f"{DEMO_NAME} Root G1", life=DEMO_LIFE, crl_life=DEMO_LIFE, crl_overlap=DAY, spares=0, owner="demo"
    )


def demo_issuing(permitted: tuple[str, ...]) -> IssuingPlan:
    """The issuing CA of a demo."""
    return IssuingPlan(common_name=f"{DEMO_NAME} Issuing G1", life=DEMO_LIFE, permitted=permitted, owner="demo")
