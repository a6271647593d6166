"""The kinds of challenges that there are, and which of them are offered for a name: one table."""

from collections.abc import Iterable, Mapping

from acme_server.records import Challenge
from acme_server.validation import alpn01, dns01, dns_account01, dns_persist01, http01
from acme_server.validation.proof import Kind
from ca.config import Config
from ca.errors import BadName
from ca.names import is_wildcard
from ca.records import Name

_ALL = (http01.KIND, dns01.KIND, alpn01.KIND, dns_account01.KIND, dns_persist01.KIND)

KINDS: Mapping[str, Kind] = {kind.type: kind for kind in _ALL}
"""By the type that clients know them by, the easiest first."""


def offered(config: Config, name: Name, subdomains: bool = False) -> tuple[str, ...]:
    """The types of the challenges that a new authorization for this name has (`acme.challenges`).

    For its subdomains too: what would prove a wildcard of it.
    """
    proved = Name(name.kind, f"*.{name.value}") if subdomains else name
    return tuple(kind.type for kind in KINDS.values() if kind.type in config.acme.challenges and kind.suits(proved))


def demand_provable(config: Config, name: Name, subdomains: bool = False) -> None:
    """Raises `BadName` if no challenge that is offered can prove control over the name."""
    if offered(config, name, subdomains):
        return
    what = f"{name.value} is a wildcard, which DNS challenges alone can prove" if is_wildcard(name) else name.value
    raise BadName(
        f"{what}: this server offers no challenge for it.",
        next_step=f"It offers {', '.join(config.acme.challenges)} (acme.challenges).",
    )


def in_order(challenges: Iterable[Challenge]) -> tuple[Challenge, ...]:
    """Challenges in the order of the table; one that is not offered any more comes last."""
    ranks = {kind: rank for rank, kind in enumerate(KINDS)}
    return tuple(sorted(challenges, key=lambda one: (ranks.get(one.type, len(ranks)), one.id)))


def has_token(kind: str) -> bool:
    """Whether clients are shown a token: of a kind that is not known, too."""
    return kind not in KINDS or KINDS[kind].has_token
