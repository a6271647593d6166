"""Rates by the generic cell rate algorithm: a limit is so many in a period, at once or spread over it.

Of each subject one number is kept: the time at which it would be at rest again. Whoever is refused uses nothing up,
since the refusal takes the transaction back that counted it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from acme_server.errors import OverLimit
from acme_server.limits.tables import Times
from ca.records import Name
from ca.store import Store

HOUR, DAY = 3600, 86400
_MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class Limit:
    """`most` in each `period` (seconds) for one subject, named in `words`; 0 is no limit."""

    subject: str
    words: str
    most: int
    period: int


def orders_of(account: str, most: int) -> Limit:
    """How many orders an account may place in an hour."""
    return Limit(f"account:{account}", "orders of this account", most, HOUR)


def orders_for(name: Name, most: int) -> Limit:
    """How many orders a name may stand in a day, whosever they are."""
    return Limit(f"name:{name}", f"orders for {name.value}", most, DAY)


def orders_by(credential: str, most: int) -> Limit:
    """How many orders the accounts of an external account may place in a day."""
    return Limit(f"eab:{credential}", "orders of this external account", most, DAY)


def accounts_from(address: str, most: int) -> Limit:
    """How many accounts may be registered from an address in an hour; of IPv6 a /64 counts as one."""
    return Limit(f"address:{_network(address)}", "new accounts from this address", most, HOUR)


def take(store: Store, limits: Iterable[Limit], now: int) -> None:
    """Counts one for each limit inside the open transaction. Raises `OverLimit`, which has to take it back."""
    by_subject = {one.subject: one for one in limits if one.most}
    if not by_subject:
        return
    steps = {subject: one.period * _MICRO // one.most for subject, one in sorted(by_subject.items())}
    for subject, rest in Times(store).advance(steps, now * _MICRO):
        limit = by_subject[subject]
        late = rest - (now + limit.period) * _MICRO
        if late > 0:
            raise _over(limit, -(-late // _MICRO))


def _over(limit: Limit, seconds: int) -> OverLimit:
    period = "an hour" if limit.period == HOUR else "a day"
    return OverLimit(
        f"There are at most {limit.most} {limit.words} in {period}.",
        retry_after=seconds,
        next_step=f"Come back in {seconds} s, or ask an operator for more (acme.limits).",
    )


def _network(address: str) -> str:
    try:
        read = ip_address(address)
    except ValueError:
        return "unknown"
    mapped = getattr(read, "ipv4_mapped", None)
    if read.version == 6 and mapped is None:
        return str(ip_network((int(read) >> 64 << 64, 64)))
    return str(mapped or read)
