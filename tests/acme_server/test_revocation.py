"""Revocation by ACME: who may, for which reason, and once (RFC 8555 §7.6; A-30)."""

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from ca import journal
from ca.authority import Authority
from ca.ocsp import answer_path, cert_id
from ca.records import REASON_CODES, Reason, serial_hex
from tests.acme_server.client import Client, a_name, refused
from tests.acme_server.signing import b64
from tests.acme_server.test_accounts import another, fresh


def status(authority: Authority, leaf: x509.Certificate) -> ocsp.OCSPResponse:
    certificate = authority.certificate(leaf.serial_number)
    issuer = x509.load_der_x509_certificate(authority.store.issuer(certificate.issuer).certificate)
    return ocsp.load_der_ocsp_response(
        authority.publisher.get(answer_path(cert_id(issuer, leaf.serial_number, "sha1"))).body
    )


def test_A30_by_the_account_that_got_it(registered: Client, authority: Authority) -> None:
    leaf = registered.obtain()
    answer = registered.revoke(leaf, reason=4)
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["Replay-Nonce"]
    assert "Content-Type" not in answer.headers
    assert status(authority, leaf).certificate_status is ocsp.OCSPCertStatus.REVOKED
    assert status(authority, leaf).revocation_reason is x509.ReasonFlags.superseded
    target = f"certificate:issuing-g1:{serial_hex(leaf.serial_number)}"
    event = next(one for one in journal.history(authority.store, target) if one["action"] == "certificate.revoked")
    assert event["actor"] == {"kind": "account", "id": registered.kid.rpartition("/")[2]}


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)])
def test_A30_by_the_certificate_s_own_key(client: Client, registered: Client, authority: Authority, key: Any) -> None:
    name = a_name()
    leaf = registered.obtain(name, key=key)
    stranger = another(registered)
    answer = stranger.revoke(leaf, key=key, reason=1)
    assert answer.status_code == 200
    assert status(authority, leaf).revocation_reason is x509.ReasonFlags.key_compromise
    target = f"certificate:issuing-g1:{serial_hex(leaf.serial_number)}"
    event = journal.history(authority.store, target)[-1]
    assert (event["action"], event["method"]) == ("certificate.revoked", "certificate-key")


def test_A30_by_an_account_that_holds_all_its_names(registered: Client, authority: Authority) -> None:
    first, second = a_name(), a_name()
    leaf = registered.obtain(first, second)
    other = another(registered)
    other.register()
    refused(other.revoke(leaf), "unauthorized", 403)
    other.ready(first)
    refused(other.revoke(leaf), "unauthorized", 403)  # INC-07: one name is not all names
    other.ready(a_name())
    refused(other.revoke(leaf), "unauthorized", 403)
    other.ready(second)
    assert other.revoke(leaf).status_code == 200


def test_A30_an_authorization_that_was_given_up_counts_no_more(registered: Client) -> None:
    name = a_name()
    leaf = registered.obtain(name)
    other = another(registered)
    other.register()
    order = other.ready(name)
    other.post(order.json["authorizations"][0], {"status": "deactivated"})
    refused(other.revoke(leaf), "unauthorized", 403)


def test_A30_by_nobody_else(registered: Client) -> None:
    leaf = registered.obtain()
    other = another(registered)
    other.register()
    refused(other.revoke(leaf), "unauthorized", 403)
    refused(registered.revoke(leaf, key=fresh()), "unauthorized", 403)
    refused(registered.revoke(leaf, key=registered.key), "unauthorized", 403)  # the account's key as a jwk


def test_A30_a_second_time(registered: Client) -> None:
    leaf = registered.obtain()
    assert registered.revoke(leaf, reason=4).status_code == 200
    refused(registered.revoke(leaf, reason=4), "alreadyRevoked", 400)


def test_A30_an_upgrade_to_key_compromise_is_taken(registered: Client, authority: Authority) -> None:
    leaf = registered.obtain()
    assert registered.revoke(leaf, reason=4).status_code == 200
    assert registered.revoke(leaf, reason=1).status_code == 200
    assert status(authority, leaf).revocation_reason is x509.ReasonFlags.key_compromise


GOOD_REASONS = sorted(
    REASON_CODES[one] for one in set(Reason) - {Reason.CA_COMPROMISE, Reason.AA_COMPROMISE, Reason.CERTIFICATE_HOLD}
)


@pytest.mark.parametrize("reason", range(-1, 12))
def test_A30_every_reason(registered: Client, reason: int) -> None:
    """A table over all numbers: what is not a leaf's reason is refused."""
    leaf = registered.obtain()
    answer = registered.revoke(leaf, reason=reason)
    if reason in GOOD_REASONS:
        assert answer.status_code == 200
    else:
        refused(answer, "badRevocationReason", 400)


@pytest.mark.parametrize("reason", [True, "keyCompromise", 1.5, [1], {}])
def test_reasons_of_other_types_are_malformed(registered: Client, reason: Any) -> None:
    refused(registered.revoke(registered.obtain(), reason=reason), "malformed", 400)


def test_a_reason_of_null_is_none(registered: Client) -> None:
    assert registered.revoke(registered.obtain(), reason=None).status_code == 200


def _altered(leaf: x509.Certificate) -> bytes:
    der = bytearray(leaf.public_bytes(Encoding.DER))
    der[-1] ^= 1
    return bytes(der)


def test_only_exactly_this_certificate_is_known(registered: Client) -> None:
    leaf = registered.obtain()
    for der in (_altered(leaf), leaf.public_bytes(Encoding.DER) + b"\0", b"junk", b"", leaf.public_bytes(Encoding.PEM)):
        refused(registered.post(registered.url("revokeCert"), {"certificate": b64(der)}), "malformed", 404)
    assert registered.revoke(leaf).status_code == 200


def test_a_foreign_certificate_with_the_same_serial_is_not_ours(registered: Client, authority: Authority) -> None:
    leaf = registered.obtain()
    key = fresh()
    builder = x509.CertificateBuilder(
        leaf.issuer,
        leaf.subject,
        key.public_key(),
        leaf.serial_number,
        leaf.not_valid_before_utc,
        leaf.not_valid_after_utc,
    )
    forged = builder.sign(key, hashes.SHA256())
    refused(registered.revoke(forged, key=key), "malformed", 404)
    assert status(authority, leaf).certificate_status is ocsp.OCSPCertStatus.GOOD


@pytest.mark.parametrize("payload", [{}, {"certificate": 1}, {"certificate": "a=="}, {"certificate": None}])
def test_revocations_of_another_form_are_malformed(registered: Client, payload: dict[str, Any]) -> None:
    refused(registered.post(registered.url("revokeCert"), payload), "malformed", 400)


def test_certificates_of_the_api_are_revoked_by_their_key(registered: Client, authority: Authority) -> None:
    """Whoever holds the key may say that it is lost, whichever door it came through."""
    from dataclasses import replace

    from cryptography.hazmat.primitives.serialization import PublicFormat

    from tests.ca.authority.world import a_request

    key = fresh()
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    issued = authority.issue(replace(a_request(), public_key=spki))
    leaf = x509.load_der_x509_certificate(issued.der)
    refused(registered.revoke(leaf), "unauthorized", 403)
    assert registered.revoke(leaf, key=key, reason=1).status_code == 200


def test_nobody_owns_certificates_without_an_account(registered: Client, authority: Authority) -> None:
    """An empty account on both sides is no match."""
    from tests.ca.authority.world import a_request

    leaf = x509.load_der_x509_certificate(authority.issue(a_request()).der)
    refused(registered.revoke(leaf), "unauthorized", 403)
