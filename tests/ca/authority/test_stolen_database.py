"""Whoever carries a copy of the database away has no secret that opens anything: no token, no PIN, no private key."""

import pytest

from ca.authority import Authority
from ca.authority.tokens import TokenScope, authenticate, create_token
from ca.store.rights import RIGHTS
from tests.ca.authority.world import OPERATOR, World, a_request

pytestmark = pytest.mark.slow


def test_a_copy_of_the_database_opens_nothing(authority: Authority, world: World) -> None:
    token, secret = create_token(authority, TokenScope("ci", ("server",), ("*.test",)), OPERATOR)
    certificate = authority.issue(a_request(token=token.id))
    authority.renew_own_certificate()
    copy = _octets(authority)
    assert certificate.der in copy
    assert authenticate(authority, secret).token.id.encode() in copy
    pins = (world.place.pin.read_text().strip(), world.place.root_pin.read_text().strip())
    assert not [one for one in (secret, *pins, "PRIVATE KEY") if one.encode() in copy]


def _octets(authority: Authority) -> bytes:
    """Every value of every table, one after the other."""
    tables = [authority.store.rows(f"SELECT * FROM {table}") for table in RIGHTS]
    values = (value for rows in tables for row in rows for value in row)
    return b"\n".join(bytes(one) if isinstance(one, bytes | memoryview) else str(one).encode() for one in values)
