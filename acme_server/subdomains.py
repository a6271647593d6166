"""Authorizations for a domain and all below it (RFC 9444), where `acme.subdomains` is on.

One proof by DNS stands for many names: for machines that come and go below a domain whose DNS they cannot write.
"""

from collections.abc import Iterator, Mapping, Sequence

from acme_server.desk import Desk
from acme_server.errors import Malformed
from acme_server.payloads import Identifier
from acme_server.records import Authorization
from ca.errors import BadName, NotFound
from ca.names import parse_dns, parse_name, without_star
from ca.records import Name, NameKind


def ancestors(desk: Desk, identifiers: Sequence[Identifier]) -> Mapping[Name, Name]:
    """The domain that a client says it controls, by the name of its order below it (§4.3); none where it is off.

    The identifiers' own form is good already. Raises `Malformed` for a domain that is none above its name.
    """
    if not desk.config.acme.subdomains:
        return {}
    return {name: _ancestor(one, name) for one in identifiers if one.ancestor for name in [_name(one)]}


def _name(identifier: Identifier) -> Name:
    return parse_name(NameKind(identifier.type), identifier.value)


def _ancestor(identifier: Identifier, name: Name) -> Name:
    try:
        domain = parse_dns(identifier.ancestor or "")
    except BadName as error:
        raise Malformed(f"ancestorDomain: {error.detail}", next_step=error.next_step) from None
    if domain not in _above(name):
        raise Malformed(f"{domain.value} is no domain above {name.value}.", next_step="Name one that it ends in.")
    return domain


def _above(name: Name) -> Iterator[Name]:
    """The domains above a name, the nearest first; above a wildcard its own comes first."""
    if name.kind is not NameKind.DNS:
        return
    labels = without_star(name).value.split(".")
    for start in range(0 if without_star(name) != name else 1, len(labels)):
        yield Name(NameKind.DNS, ".".join(labels[start:]))


def usable(desk: Desk, account_id: str, name: Name, until: int) -> Authorization:
    """A valid authorization of this account for all below a domain above the name. Raises `NotFound`."""
    for domain in _above(name) if desk.config.acme.subdomains else ():
        try:
            return desk.proofs.usable(account_id, domain, until, subdomains=True)
        except NotFound:
            continue
    raise NotFound("There is none.")
