"""The own HTTPS certificate: issued by the own CA, renewed in time, never half-written."""

import os
import shutil
import ssl
import stat
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ca.authority import Authority
from ca.authority.managed import KEEP
from tests.ca.authority.world import World

pytestmark = pytest.mark.slow


def _leaf(authority: Authority) -> x509.Certificate:
    return x509.load_pem_x509_certificates(authority.own_certificate().chain.read_bytes())[0]


def test_it_is_issued_renewed_at_two_thirds_and_always_whole(authority: Authority, world: World) -> None:
    authority.renew_own_certificate()
    managed = authority.own_certificate()
    first = _leaf(authority)
    names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert stat.S_IMODE(os.stat(managed.key).st_mode) == 0o600
    assert authority.renew_own_certificate().done == 0
    life = int((first.not_valid_after_utc - first.not_valid_before_utc).total_seconds())
    world.clock.ahead = life * 2 // 3
    assert authority.renew_own_certificate().done == 1
    second = _leaf(authority)
    assert second.serial_number != first.serial_number
    key = load_pem_private_key(managed.key.read_bytes(), None)
    assert key.public_key() == second.public_key() != first.public_key()
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(managed.chain, managed.key)


def test_a_damaged_or_missing_file_is_replaced_and_old_ones_are_forgotten(authority: Authority) -> None:
    managed = authority.own_certificate()
    for _ in range(KEEP + 2):
        if managed.chain.exists():
            managed.chain.write_bytes(b"junk")
        assert authority.renew_own_certificate().done == 1
    assert len([one for one in managed.folder.iterdir() if one.name.isdigit()]) == KEEP
    managed.key.unlink()
    assert authority.renew_own_certificate().done == 1
    assert authority.renew_own_certificate().done == 0


def test_two_processes_that_find_it_missing_make_one(authority: Authority, world: World) -> None:
    """The web process and the scheduler look at once when they start; the second finds what the first has made."""
    shutil.rmtree(authority.own_certificate().folder, ignore_errors=True)
    together, done = threading.Barrier(3), []

    def renew() -> None:
        desk = world.open()
        together.wait(10)
        done.append(desk.renew_own_certificate().done)
        desk.store.close()

    racers = [threading.Thread(target=renew) for _ in range(3)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(30)
    assert sorted(done) == [0, 0, 1]
