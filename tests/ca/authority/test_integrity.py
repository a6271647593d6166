"""A changed row is found and named, and its bytes are not handed out (KEY_MANAGEMENT row 2)."""

import pytest

from ca.authority import Authority
from ca.errors import StoreUnavailable
from ca.records import serial_hex
from tests.ca.authority.world import World, a_request, owning

pytestmark = pytest.mark.slow


ROWS = {
    "issuing key": ("signing_key", "spki", "id = 'issuing-g1'", "issuing-g1"),
    "journal key": ("signing_key", "spki", "id = 'journal-g1'", "journal-g1"),
    "root key": ("signing_key", "spki", "id = 'root-g1'", "root-g1"),
    "root": ("issuer", "certificate", "id = 'root-g1'", "root-g1"),
    "issuer": ("issuer", "certificate", "id = 'issuing-g1'", "issuing-g1"),
    "responder": ("responder", "certificate", "issuer = 'issuing-g1'", "issuing-g1-ocsp-1"),
}


def _flip(authority: Authority, table: str, column: str, where: str, place: int = -5) -> bytes:
    """Changes one octet and answers the octets as they were."""
    before = bytes(authority.store.rows(f"SELECT {column} FROM {table} WHERE {where}")[0][0])
    after = bytearray(before)
    after[place] ^= 1
    _write(authority, table, column, where, bytes(after))
    return before


def _write(authority: Authority, table: str, column: str, where: str, octets: bytes) -> None:
    with owning(authority) as thief:
        thief.change(f"UPDATE {table} SET {column} = ? WHERE {where}", octets)


@pytest.mark.parametrize("row", ROWS)
def test_a_flipped_octet_of_a_key_or_ca_is_named(authority: Authority, row: str) -> None:
    table, column, where, name = ROWS[row]
    assert authority.verify_records().done > 0
    before = _flip(authority, table, column, where)
    with pytest.raises(StoreUnavailable, match=name):
        authority.verify_records()
    _write(authority, table, column, where, before)
    authority.verify_records()


def test_a_flipped_octet_of_a_certificate_is_named_and_not_handed_out(authority: Authority, world: World) -> None:
    certificate = authority.issue(a_request())
    serial = serial_hex(certificate.serial)
    _flip(authority, "certificate", "der", f"serial = '{serial}'")
    with pytest.raises(StoreUnavailable, match=serial):
        authority.chain(authority.certificate(certificate.serial))
    with pytest.raises(StoreUnavailable, match=serial):
        authority.verify_records()
    doctor = world.run("doctor", "--json")
    assert doctor.returncode != 0
    assert serial in doctor.stdout
