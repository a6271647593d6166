"""A key that is known to be compromised neither registers nor is certified again (STANDARDS B-01; A-05)."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from ca import journal
from ca.authority import Authority, compromised
from ca.errors import BadPublicKey, NotFound
from ca.records import Reason
from tests.acme_server.client import Client, a_name, csr, refused
from tests.acme_server.test_accounts import another, change, fresh
from tests.acme_server.test_operators import Line, line  # noqa: F401
from tests.ca.authority.world import OPERATOR, a_request


def spki(key: Any) -> bytes:
    return bytes(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def digest(key: Any) -> str:
    return hashlib.sha256(spki(key)).hexdigest()


def test_A05_B01_a_revocation_by_the_key_itself_blocks_it(registered: Client, authority: Authority) -> None:
    key = fresh()
    leaf = registered.obtain(a_name(), key=key)
    assert registered.revoke(leaf, key=key, reason=1).status_code == 200
    stranger = another(registered)
    stranger.key = key
    refused(stranger.register(), "badPublicKey", 400)
    refused(change(registered, key), "badPublicKey", 400)
    order = registered.ready()
    names = [one["value"] for one in order.json["identifiers"]]
    refused(registered.finalize(order, csr(*names, key=key)), "badCSR", 400)
    assert registered.finalize(order).json["status"] == "valid"  # the order waits for a better key
    with pytest.raises(BadPublicKey, match="compromised"):
        authority.issue(replace(a_request(), public_key=spki(key)))
    (event,) = journal.history(authority.store, f"key:{digest(key)}")
    assert event["action"] == "key.blocked"


def test_A05_B01_an_operator_s_word_counts(registered: Client, authority: Authority) -> None:
    key = fresh()
    leaf = registered.obtain(a_name(), key=key)
    authority.revoke(authority.certificate(leaf.serial_number), Reason.KEY_COMPROMISE, OPERATOR)
    assert authority.store.is_blocked(digest(key))


@pytest.mark.parametrize("reason", [0, 3, 4, 5])
def test_another_reason_blocks_nothing(registered: Client, authority: Authority, reason: int) -> None:
    key = fresh()
    leaf = registered.obtain(a_name(), key=key)
    assert registered.revoke(leaf, key=key, reason=reason).status_code == 200
    assert not authority.store.is_blocked(digest(key))


def test_A05_an_account_cannot_block_the_key_of_another(registered: Client, authority: Authority) -> None:
    """It may revoke its certificate for keyCompromise, without having proved anything about the key."""
    key = fresh()
    leaf = registered.obtain(a_name(), key=key)
    assert registered.revoke(leaf, reason=1).status_code == 200
    assert not authority.store.is_blocked(digest(key))
    assert registered.revoke(leaf, key=key, reason=1).status_code == 400  # revoked already, and that says nothing new
    assert not authority.store.is_blocked(digest(key))


def test_a_mistake_is_taken_back(authority: Authority) -> None:
    key = fresh()
    assert compromised.block(authority, digest(key), OPERATOR)
    assert not compromised.block(authority, digest(key), OPERATOR)
    compromised.unblock(authority, digest(key), OPERATOR)
    compromised.demand_sound(authority, spki(key))
    with pytest.raises(NotFound):
        compromised.unblock(authority, digest(key), OPERATOR)


def test_by_the_command_line(line: Line, registered: Client, tmp_path: Path) -> None:  # noqa: F811
    key = fresh()
    registered.obtain(a_name(), key=key)
    file = tmp_path / "lost.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert "Would block" in line("key", "block", str(file), "--dry-run")
    made = line.json("key", "block", str(file), "--comment", "found on a paste site", "--yes")
    assert (made["spki_sha256"], made["new"], made["certificates"]) == (digest(key), True, 1)
    row = next(one for one in line.json("key", "blocked") if one["spki_sha256"] == digest(key))
    assert row["comment"] == "found on a paste site"
    line("key", "unblock", digest(key), "--yes")
    line("key", "unblock", digest(key), "--yes", code=3)
    line("key", "block", "nonsense", "--yes", code=2)
    file.write_text("no key")
    line("key", "block", str(file), "--yes", code=2)
