"""From a ready order to a certificate: what the CSR may say, who wins a race, and what happens when the HSM is away."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

import acme_server
from acme_server import issuance, upkeep
from acme_server.desk import Desk
from acme_server.records import OrderStatus
from ca import journal
from ca.authority import Authority
from ca.errors import HSMUnavailable, LintFailed, PossiblySigned, SigningRefused, StoreUnavailable
from ca.ocsp import answer_path, cert_id
from tests.acme_server.client import ORIGIN, Client, a_name, csr, refused
from tests.acme_server.conftest import Town
from tests.acme_server.signing import b64
from tests.acme_server.test_orders import ident
from tests.ca.authority.world import REPOSITORY

pytestmark = pytest.mark.slow

DER, PEM = Encoding.DER, Encoding.PEM


@pytest.fixture
def desk(authority: Authority) -> Desk:
    return Desk(authority)


def row_of(desk: Desk, order: Any) -> Any:
    return desk.orders.get(ident(order.headers["Location"]))


# --- what comes out -----------------------------------------------------------------------------


def test_A26_A27_a_certificate(registered: Client, authority: Authority) -> None:
    names = (a_name(), a_name())
    key = ec.generate_private_key(ec.SECP384R1())
    order = registered.ready(*names)
    done = registered.finalize(order, csr(*names, key=key))
    assert done.status_code == 200
    assert done.json["status"] == "valid"
    assert done.headers["Location"] == order.headers["Location"]
    assert "Retry-After" not in done.headers
    download = registered.post(done.json["certificate"])
    assert download.content_type == "application/pem-certificate-chain"
    leaf, *above = x509.load_pem_x509_certificates(download.data)
    assert leaf.public_key() == key.public_key()
    found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(found.get_values_for_type(x509.DNSName)) == set(names)
    assert leaf.subject == x509.Name([])
    for lower, upper in zip([leaf, *above], above, strict=False):
        lower.verify_directly_issued_by(upper)
    root = next(issuer for issuer in authority.store.issuers() if issuer.kind == "root").certificate
    assert root not in [one.public_bytes(DER) for one in above]
    above[-1].verify_directly_issued_by(x509.load_der_x509_certificate(root))
    certificate = authority.certificate(leaf.serial_number)
    assert certificate.order == ident(order.headers["Location"])
    assert certificate.account == ident(registered.kid)


def test_the_first_ocsp_answer_is_published_before_the_order_is_valid(
    registered: Client, authority: Authority, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = registered.ready()
    published: list[bool] = []
    make_valid = desk.orders.make_valid

    def looking(self: Any, order_id: str) -> bool:
        row = desk.orders.get(order_id)
        assert row.status is OrderStatus.PROCESSING
        certificate = authority.certificate(int(row.certificate, 16))
        issuer = x509.load_der_x509_certificate(authority.store.issuer(certificate.issuer).certificate)
        body = authority.publisher.get(answer_path(cert_id(issuer, certificate.serial, "sha1"))).body
        published.append(ocsp.load_der_ocsp_response(body).certificate_status is ocsp.OCSPCertStatus.GOOD)
        return make_valid(order_id)

    monkeypatch.setattr(type(desk.orders), "make_valid", looking)
    assert registered.finalize(order).json["status"] == "valid"
    assert published == [True]


def test_the_common_name_of_the_csr_counts_as_a_name_and_goes_nowhere(registered: Client) -> None:
    first, second = a_name(), a_name()
    order = registered.ready(first, second)
    done = registered.finalize(order, csr(second, common_name=first))
    leaf = registered.chain(done)[0]
    assert leaf.subject == x509.Name([])


# --- what the CSR may say -----------------------------------------------------------------------


def with_extension(names: list[str], extension: x509.ExtensionType) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False)
    return (
        builder.add_extension(extension, False)
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
        .public_bytes(DER)
    )


def other_names(*names: x509.GeneralName) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(DER)


def broken_signature(name: str) -> bytes:
    der = bytearray(csr(name))
    der[-1] ^= 1
    return bytes(der)


BAD_CSRS: dict[str, Any] = {
    "junk": lambda name: b"junk",
    "empty": lambda name: b"",
    "PEM": lambda name: x509.load_der_x509_csr(csr(name)).public_bytes(PEM),
    "a name less": lambda name: csr(),
    "another name": lambda name: csr("other.localhost"),
    "a name more": lambda name: csr(name, "more.localhost"),
    "the common name more": lambda name: csr(name, common_name="more.localhost"),
    "a wildcard more": lambda name: csr(name, "*." + name),
    "an address more": lambda name: other_names(x509.DNSName(name), x509.IPAddress(IPv4Address("10.1.1.1"))),
    "an e-mail more": lambda name: other_names(x509.DNSName(name), x509.RFC822Name("a@b.test")),
    "a URI more": lambda name: other_names(x509.DNSName(name), x509.UniformResourceIdentifier("https://x.test/")),
    "a registered id more": lambda name: other_names(x509.DNSName(name), x509.RegisteredID(NameOID.COMMON_NAME)),
    "a CA": lambda name: with_extension([name], x509.BasicConstraints(ca=True, path_length=None)),
    "RSA-1024": lambda name: csr(name, key=rsa.generate_private_key(65537, 1024)),
    "RSA e=3": lambda name: csr(name, key=rsa.generate_private_key(3, 2048)),
    "P-521": lambda name: csr(name, key=ec.generate_private_key(ec.SECP521R1())),
    "signed by another key": broken_signature,
    "a certificate": lambda name: x509.load_der_x509_csr(csr(name)).tbs_certrequest_bytes,
}  # fmt: skip


@pytest.mark.parametrize("make", BAD_CSRS.values(), ids=BAD_CSRS)
def test_A26_bad_csrs_leave_the_order_ready(registered: Client, make: Any) -> None:
    name = a_name()
    order = registered.ready(name)
    refused(registered.finalize(order, make(name)), "badCSR", 400)
    assert registered.post(order.headers["Location"]).json["status"] == "ready"
    assert registered.finalize(order, csr(name)).json["status"] == "valid"


def test_A32_the_account_s_own_key_is_not_certified(registered: Client) -> None:
    name = a_name()
    order = registered.ready(name)
    refused(registered.finalize(order, csr(name, key=registered.key)), "badCSR", 400)


@pytest.mark.parametrize("payload", [{}, {"csr": 1}, {"csr": None}, {"csr": "a+b/"}, {"csr": "YQ=="}, {"CSR": "YQ"}])
def test_finalize_of_another_form_is_malformed(registered: Client, payload: dict[str, Any]) -> None:
    order = registered.ready()
    refused(registered.post(order.json["finalize"], payload), "malformed", 400)
    assert registered.post(order.headers["Location"]).json["status"] == "ready"


def test_a_key_kind_that_the_profile_refuses_is_a_bad_csr(
    registered: Client, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = a_name()
    order = registered.ready(name)
    profile = replace(authority.profiles["server"], key_types=frozenset({"ed25519"}))
    monkeypatch.setitem(authority.profiles, "server", profile)  # type: ignore[arg-type]
    answer = registered.finalize(order, csr(name))
    refused(answer, "badCSR", 400)
    assert "ed25519" in answer.json["detail"]
    assert registered.post(order.headers["Location"]).json["status"] == "ready"


def test_A26_finalize_twice(registered: Client) -> None:
    order = registered.ready()
    assert registered.finalize(order).json["status"] == "valid"
    refused(registered.finalize(order), "orderNotReady", 403)
    refused(registered.finalize(registered.order(a_name())), "orderNotReady", 403)


# --- races --------------------------------------------------------------------------------------


def test_two_finalizes_at_once_make_one_certificate(registered: Client, authority: Authority) -> None:
    """Both saw a ready order: one issues, and each gets that order."""
    name = a_name()
    order = registered.ready(name)
    url = order.json["finalize"]
    bodies = [registered.sign(url, {"csr": b64(csr(name))}) for _ in range(12)]
    with ThreadPoolExecutor(len(bodies)) as pool:
        answers = list(pool.map(lambda body: registered.send(url, body), bodies))
    for answer in answers:
        if answer.status_code == 200:
            assert answer.json["status"] in ("processing", "valid")
            assert ("Retry-After" in answer.headers) is (answer.json["status"] == "processing")
        else:
            refused(answer, "orderNotReady", 403)  # came when it was no longer ready
    serial = ident(registered.post(order.headers["Location"]).json["certificate"])
    issued = authority.store.rows('SELECT serial FROM certificate WHERE "order" = ?', ident(order.headers["Location"]))
    assert issued == [(serial,)]


def test_an_authorization_that_falls_away_under_the_finalize_stops_it(
    registered: Client, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the order and transaction A: checked again under lock."""
    name = a_name()
    order = registered.ready(name)
    before = row_of(desk, order)
    registered.post(order.json["authorizations"][0], {"status": "deactivated"})
    desk.store.change("UPDATE acme_order SET status = 'ready' WHERE id = ?", before.id)  # as if it had not noticed
    request = issuance.request_for(before, x509_key(name), "")
    assert issuance.issue(desk, before, request).status is OrderStatus.READY
    assert desk.store.rows('SELECT count(*) FROM certificate WHERE "order" = ?', before.id) == [(0,)]
    assert desk.store.rows('SELECT count(*) FROM intent WHERE "order" = ?', before.id) == [(0,)]


def test_an_account_that_is_ended_under_the_finalize_gets_nothing(registered: Client, desk: Desk) -> None:
    name = a_name()
    before = row_of(desk, registered.ready(name))
    desk.store.change("UPDATE acme_account SET status = 'deactivated' WHERE id = ?", before.account)
    assert issuance.issue(desk, before, issuance.request_for(before, x509_key(name), "")).status is OrderStatus.READY
    assert desk.store.rows('SELECT count(*) FROM intent WHERE "order" = ?', before.id) == [(0,)]


def x509_key(name: str) -> bytes:
    return x509.load_der_x509_csr(csr(name)).public_key().public_bytes(DER, PublicFormat.SubjectPublicKeyInfo)


# --- the HSM is away ----------------------------------------------------------------------------


@pytest.fixture
def without_signer(town: Town) -> Iterator[Town]:
    """A town whose signer is dead for the length of a test."""
    town.kill_signer()
    yield town
    if town.signer is None:
        town.start_signer()


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """The signer fails in this way, at the moment of the signature."""
    from ca.issuer import IssuingCA

    def sign(*_: Any) -> bytes:
        raise error

    monkeypatch.setattr(IssuingCA, "sign", sign)


def test_an_order_waits_for_the_hsm_and_is_issued_when_it_is_back(
    registered: Client, town: Town, authority: Authority
) -> None:
    registered.obtain()  # the desk knows its keys
    name = a_name()
    order = registered.ready(name)
    town.kill_signer()
    key = ec.generate_private_key(ec.SECP256R1())
    answer = registered.finalize(order, csr(name, key=key))
    assert (answer.status_code, answer.json["status"]) == (200, "processing")
    assert answer.headers["Retry-After"] == "1"
    assert "error" not in answer.json
    assert acme_server.sweep_orders(authority).done == 0  # not due yet
    town.start_signer()
    town.clock.ahead = HSMUnavailable.retry_after
    report = acme_server.sweep_orders(authority)
    assert (report.name, report.done) == ("sweep_orders", 1)
    done = registered.post(order.headers["Location"])
    assert done.json["status"] == "valid"
    assert registered.chain(done)[0].public_key() == key.public_key()
    states = authority.store.rows('SELECT state FROM intent WHERE "order" = ?', ident(order.headers["Location"]))
    assert sorted(states) == [("issued",), ("withdrawn",)]


def test_a_worker_that_never_saw_the_hsm_leaves_orders_ready(registered: Client, without_signer: Town) -> None:
    """It cannot know whether old records were put back (`ca.authority.standing`), so it claims no order."""
    name = a_name()
    order = registered.ready(name)
    answer = registered.finalize(order, csr(name))
    refused(answer, "serverInternal", 503)
    assert answer.headers["Retry-After"]
    assert registered.post(order.headers["Location"]).json["status"] == "ready"


def test_an_hsm_that_is_missed_before_the_order_is_claimed_leaves_it_ready(
    registered: Client, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    def issue(*_: Any) -> None:
        raise HSMUnavailable("the secret socket is gone")

    order = registered.ready()
    monkeypatch.setattr(type(authority), "issue", issue)
    answer = registered.finalize(order)
    refused(answer, "serverInternal", 503)
    assert answer.headers["Retry-After"] == str(HSMUnavailable.retry_after)
    assert "secret" not in answer.json["detail"]
    assert registered.post(order.headers["Location"]).json["status"] == "ready"


def test_waiting_orders_wait_on_while_the_hsm_stays_away(
    registered: Client, town: Town, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = registered.ready()
    failing(monkeypatch, HSMUnavailable("gone"))
    assert registered.finalize(order).json["status"] == "processing"
    for _ in range(3):
        town.clock.ahead += HSMUnavailable.retry_after
        upkeep.sweep_orders(desk)
        row = row_of(desk, order)
        assert (row.status, row.intent, row.certificate) == ("processing", "", "")
        assert row.due_at > desk.now()
    town.clock.ahead += desk.config.acme.order_life
    upkeep.sweep_orders(desk)
    assert row_of(desk, order).status == "invalid"


def test_a_waiting_order_ends_with_its_authorization(
    registered: Client, town: Town, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = registered.ready()
    failing(monkeypatch, HSMUnavailable("gone"))
    assert registered.finalize(order).json["status"] == "processing"
    monkeypatch.undo()
    registered.post(order.json["authorizations"][0], {"status": "deactivated"})
    town.clock.ahead = HSMUnavailable.retry_after
    upkeep.sweep_orders(desk)
    assert row_of(desk, order).status == "invalid"


@pytest.mark.parametrize("error", [PossiblySigned("no answer"), SigningRefused("rules")])
def test_what_may_have_been_signed_ends_the_order_and_not_its_authorizations(
    registered: Client, authority: Authority, desk: Desk, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    name = a_name()
    order = registered.ready(name)
    failing(monkeypatch, error)
    answer = registered.finalize(order)
    assert (answer.status_code, answer.json["status"]) == (200, "invalid")
    assert answer.json["error"]["type"].endswith(":serverInternal")
    assert "Order again" in answer.json["error"]["detail"]
    assert (
        journal.history(authority.store, f"order:{ident(order.headers['Location'])}")[-1]["action"] == "order.invalid"
    )
    monkeypatch.undo()
    again = registered.order(name)
    assert again.json["status"] == "ready"
    assert registered.finalize(again).json["status"] == "valid"


def test_an_error_of_this_side_is_told_without_its_inside(
    registered: Client, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = registered.ready()
    for error, status in (
        (LintFailed("secret detail"), 500),
        (StoreUnavailable("/var/secret"), 503),
        (ValueError("x"), 500),
    ):
        monkeypatch.setattr(type(desk.authority), "issue", lambda *_, error=error: (_ for _ in ()).throw(error))
        answer = registered.finalize(order)
        refused(answer, "serverInternal", status)
        assert "secret" not in answer.json["detail"]
        assert registered.post(order.headers["Location"]).json["status"] == "ready"


# --- kill -9 ------------------------------------------------------------------------------------

# Finalizes an order and dies at the named moment, by a signal that nothing can catch.
DIE = """
import os, signal, sys
from acme_server import issuance
from acme_server.desk import Desk
from acme_server.tables import Orders
from ca import config
from ca.authority import issue, open_authority

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

path, order_id, key, moment = sys.argv[1:]
{"after the intent": lambda: setattr(issue, "_sign", die),
 "after the signature": lambda: setattr(issue, "_certificate", die),
 "in the second transaction": lambda: setattr(Orders, "bind", die),
 "before its first answers are filed": lambda: setattr(issue, "file_first", die),
 "before valid": lambda: setattr(Orders, "make_valid", die),
 "in the first transaction": lambda: setattr(Orders, "claim", die)}[moment]()
desk = Desk(open_authority(config.load(path)))
order = desk.orders.get(order_id)
issuance.issue(desk, order, issuance.request_for(order, bytes.fromhex(key), ""))
"""
ENDS = {
    "in the first transaction": "ready",
    "after the intent": "invalid",
    "after the signature": "invalid",
    "in the second transaction": "invalid",
    "before its first answers are filed": "invalid",
    "before valid": "valid",
}


@pytest.mark.parametrize("moment", ENDS)
def test_INC05_kill_9_at_any_moment_of_the_issuance(
    registered: Client, town: Town, authority: Authority, desk: Desk, moment: str
) -> None:
    """Whatever the moment: the order comes to an end, the certificate is there or its serial is revoked."""
    name = a_name()
    order = registered.ready(name)
    command = [
        sys.executable,
        "-c",
        DIE,
        str(town.place.configuration),
        row_of(desk, order).id,
        x509_key(name).hex(),
        moment,
    ]
    died = subprocess.run(command, cwd=REPOSITORY, capture_output=True, timeout=30)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    upkeep.sweep_orders(desk)
    expected = "ready" if ENDS[moment] == "ready" else "processing"
    assert row_of(desk, order).status == expected  # nothing is decided before it is certain
    town.clock.ahead = 2 * authority.config.ca.intent_timeout
    upkeep.sweep_orders(desk)
    authority.sweep_intents()
    upkeep.sweep_orders(desk)
    found = registered.post(order.headers["Location"])
    assert found.json["status"] == ENDS[moment]
    intents = authority.store.rows('SELECT state FROM intent WHERE "order" = ?', row_of(desk, order).id)
    if ENDS[moment] == "valid":
        assert intents == [("issued",)]
        assert registered.chain(found)
    elif ENDS[moment] == "invalid":
        assert intents == [("abandoned",)]
        assert "Order again" in found.json["error"]["detail"]
        town.clock.ahead = 0
        assert registered.order(name).json["status"] == "ready"
    else:
        assert intents == []
        town.clock.ahead = 0
        assert registered.finalize(order).json["status"] == "valid"


def test_sweeps_beside_one_another_and_beside_requests_issue_once(
    registered: Client, town: Town, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = registered.ready()
    failing(monkeypatch, HSMUnavailable("gone"))
    assert registered.finalize(order).json["status"] == "processing"
    monkeypatch.undo()
    town.clock.ahead = HSMUnavailable.retry_after
    sweeps = [threading.Thread(target=upkeep.sweep_orders, args=(desk,)) for _ in range(4)]
    for one in sweeps:
        one.start()
    for one in sweeps:
        one.join()
    row = row_of(desk, order)
    assert row.status == "valid"
    assert desk.store.rows('SELECT count(*) FROM certificate WHERE "order" = ?', row.id) == [(1,)]


def test_certificates_of_other_doors_are_not_downloaded_here(registered: Client, authority: Authority) -> None:
    from tests.ca.authority.world import a_request

    foreign = authority.issue(a_request())
    refused(registered.post(f"{ORIGIN}/acme/cert/{foreign.serial:038x}"), "unauthorized", 403)
