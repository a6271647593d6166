"""The identifiers of an order: text becomes names, each judged by itself and each refusal told (A-25, INC-07)."""

from collections.abc import Callable, Sequence

from acme_server.errors import Malformed, Refusal, RejectedIdentifier, UnsupportedIdentifier
from acme_server.payloads import Identifier
from ca.errors import BadName, PolicyDenied
from ca.names import parse_name
from ca.records import Name, NameKind

Permit = Callable[[Name], None]

_KINDS = (NameKind.DNS, NameKind.IP)


def parse(identifiers: Sequence[Identifier], most: int, permit: Permit) -> tuple[Name, ...]:
    """The names of an order, each once, every single one permitted by `permit`, which raises `PolicyDenied`.

    Raises `Malformed` (none, or more than `most`), `UnsupportedIdentifier`, or `RejectedIdentifier` with a
    refusal for each name that is not to be had.
    """
    if not 0 < len(identifiers) <= most:
        raise Malformed(f"An order has 1 to {most} identifiers.", next_step="Split it into several orders.")
    names: list[Name] = []
    refusals: list[Refusal] = []
    for one in identifiers:
        try:
            names.append(_permitted(one, permit))
        except (BadName, PolicyDenied) as error:
            refusals.append(Refusal(one.type, one.value[:300], str(error)))
    if refusals:
        raise _rejected(refusals)
    return tuple(dict.fromkeys(names))


def _permitted(identifier: Identifier, permit: Permit) -> Name:
    if identifier.type not in _KINDS:
        raise UnsupportedIdentifier(
            f"Identifiers of the type {identifier.type[:60]!r} are not supported.", next_step="Use dns or ip."
        )
    name = parse_name(identifier.type, identifier.value)
    _demand_form(identifier, name)
    permit(name)
    return name


def _demand_form(identifier: Identifier, name: Name) -> None:
    """A DNS name comes as A-labels in any case (RFC 8555 §7.1.4), an address in its one text (RFC 8738 §3)."""
    given = identifier.value
    if name.kind is NameKind.DNS and given.isascii():  # lower() makes ASCII of some that is none
        given = given.lower()
    if given != name.value:
        raise BadName(f"{identifier.value[:300]!r} is not the usual form of a name.", next_step=f"Write {name.value}.")


def _rejected(refusals: Sequence[Refusal]) -> RejectedIdentifier:
    if len(refusals) == 1:
        return RejectedIdentifier(refusals[0].detail, refusals=tuple(refusals))
    return RejectedIdentifier(
        f"{len(refusals)} identifiers are refused; the subproblems say why.", refusals=tuple(refusals)
    )
