"""Contact URLs of an account: mailto with exactly one address and no header fields (RFC 8555 §7.3; A-19)."""

import re
from collections.abc import Sequence

from acme_server.errors import InvalidContact, UnsupportedContact
from ca.errors import BadName
from ca.names import parse_dns

MOST = 10
_LONGEST = 320
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_LOCAL = re.compile(r"[A-Za-z0-9!#$&'*+/=^_`{|}~-]+(?:\.[A-Za-z0-9!#$&'*+/=^_`{|}~-]+)*\Z")
_ADVICE = "Write one address for each contact, like mailto:admin@example.org."


def parse(contacts: Sequence[str] | None) -> tuple[str, ...]:
    """The contacts as they are kept. Raises `UnsupportedContact` (not mailto) or `InvalidContact`."""
    if not contacts:
        return ()
    if len(contacts) > MOST:
        raise InvalidContact(f"More than {MOST} contacts.", next_step="Give the ones that are read.")
    return tuple(dict.fromkeys(map(_checked, contacts)))


def _checked(contact: str) -> str:
    scheme = _SCHEME.match(contact)
    if not scheme:
        raise _invalid(contact, "it is no URL")
    if scheme.group().lower() != "mailto:":
        raise UnsupportedContact(f"Contacts of the kind {scheme.group()[:40]!r} are not supported.", next_step=_ADVICE)
    address = contact[scheme.end() :]
    local, _, host = address.rpartition("@")
    if len(contact) > _LONGEST or not _LOCAL.match(local) or "%" in address:
        raise _invalid(contact, "it is not one plain address without header fields")
    try:
        parse_dns(host)
    except BadName:
        raise _invalid(contact, "its host is no DNS name") from None
    return f"mailto:{address}"


def _invalid(contact: str, why: str) -> InvalidContact:
    return InvalidContact(f"The contact {contact[:100]!r} is refused: {why}.", next_step=_ADVICE)
