"""Signing in by a TLS client certificate: a real door of a real web process, real handshakes, and what goes wrong."""

import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http.client import HTTPSConnection
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from flask import Flask
from werkzeug.test import TestResponse

from ca.authority import Authority, bindings, certificate_sign_on, people
from ca.authority.chain import chain_pem
from ca.authority.seat import take_seat
from ca.clock import system_clock
from ca.console import ClientCertificates
from ca.errors import BadRequest, CAError, ConfigError, Conflict, NotFound
from ca.journal import history
from ca.records import Reason
from cli import checks
from tests.ca.authority.world import World, a_request
from tests.ports import free_port
from tests.web.plane import ROOT, address
from tests.web.ui_people import OPERATOR, Browser, invite, signed_in
from web import certificate_door

pytestmark = pytest.mark.slow

PROGRAM = """
from ca import logs
from ca.config import load
from web.serve import run
logs.configure("web")
run(load(), frozenset({"ui"}))
"""
TICKET = "__Host-certwright-sign-on"
SPOOFS = ("X-Client-Cert", "X-SSL-Client-Cert", "X-SSL-Client-Verify", "X-Forwarded-Client-Cert", "Client-Cert")


@dataclass(frozen=True)
class Card:
    """A certificate with its key, in files as a TLS client wants them."""

    certificate: x509.Certificate
    chain: Path
    key: Path

    @property
    def sha256(self) -> str:
        return self.certificate.fingerprint(hashes.SHA256()).hex()


@dataclass(frozen=True)
class Door:
    """The door and the main one of a web process."""

    at: tuple[str, int]
    main: tuple[str, int]
    roots: Path

    def context(self, card: Card | None, **versions: ssl.TLSVersion) -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=str(self.roots))
        for name, version in versions.items():
            setattr(made, name, version)
        if card:
            made.load_cert_chain(card.chain, card.key)
        return made

    def show(self, url: str, card: Card | None = None, headers: dict[str, str] | None = None) -> tuple[int, str]:
        """What the door answers to a browser with that certificate: the status, and where it leads."""
        parts = urlsplit(url)
        connection = HTTPSConnection("localhost", self.at[1], context=self.context(card), timeout=15)
        try:
            connection.request("GET", f"{parts.path}?{parts.query}", headers=headers or {})
            answer = connection.getresponse()
            assert answer.read() == b""
            assert answer.headers["Cache-Control"] == "no-store"
            return answer.status, answer.headers.get("Location", "")
        finally:
            connection.close()


@pytest.fixture(scope="module", autouse=True)
def settings() -> Iterator[dict[str, str]]:
    """The addresses of both doors, in the environment of every process of this module."""
    made = {
        "CERTWRIGHT_UI__CLIENT_CERTIFICATES__LISTEN": f"127.0.0.1:{free_port()}",
        "CERTWRIGHT_SERVER__HTTPS_LISTEN": f"127.0.0.1:{free_port()}",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in made.items():
            patch.setenv(name, value)
        yield made


@pytest.fixture(scope="module")
def door(world: World, settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("door")
    authority = world.open()
    (folder / "roots.pem").write_bytes(authority.publisher.get("roots.pem").body)
    authority.store.close()
    environment = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    environment |= {
        "CERTWRIGHT_CONFIG": str(world.place.configuration),
        "CERTWRIGHT_SERVER__METRICS_DIR": str(folder / "metrics"),
    }
    with open(folder / "log", "wb") as out:
        popen = subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, stdout=out, stderr=out)
    made = Door(
        address(settings["CERTWRIGHT_UI__CLIENT_CERTIFICATES__LISTEN"]),
        address(settings["CERTWRIGHT_SERVER__HTTPS_LISTEN"]),
        folder / "roots.pem",
    )
    deadline = time.monotonic() + 30
    while True:
        try:
            assert made.show("/elsewhere?")[0] == 404
            break
        except OSError:
            assert popen.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.1)
    yield made
    popen.terminate()
    assert popen.wait(20) == 0, (folder / "log").read_text()
    assert "Traceback" not in (folder / "log").read_text()


@pytest.fixture
def ui(authority: Authority) -> Flask:
    from web.app import create_app

    return create_app(authority, frozenset({"ui"}))


@pytest.fixture
def browser(ui: Flask, authority: Authority) -> Browser:
    return Browser(ui, authority)


@pytest.fixture
def card(authority: Authority, tmp_path: Path) -> Card:
    return issue(authority, tmp_path)


def issue(authority: Authority, folder: Path, profile: str = "client") -> Card:
    """A certificate of this CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    made = authority.issue(replace(a_request(profile=profile), public_key=spki))
    return _card(x509.load_der_x509_certificate(made.der), chain_pem(authority, made), key, folder)


def _card(certificate: x509.Certificate, chain: bytes, key: ec.EllipticCurvePrivateKey, folder: Path) -> Card:
    stem = folder / f"{certificate.serial_number:x}"
    stem.with_suffix(".pem").write_bytes(chain)
    stem.with_suffix(".key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return Card(certificate, stem.with_suffix(".pem"), stem.with_suffix(".key"))


def foreign(folder: Path, *purposes: x509.ObjectIdentifier, days: int = 1) -> tuple[Path, Card]:
    """A root that is not ours, and a certificate by it; of yesterday with negative days."""
    root, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Elsewhere")])
    now = datetime.fromtimestamp(system_clock(), UTC)

    def made(name: x509.Name, public: ec.EllipticCurvePublicKey, until: int) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().issuer_name(issuer).subject_name(name).public_key(public)
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(9))
        return builder.not_valid_after(now + timedelta(until))

    ca = made(issuer, root.public_key(), 9).add_extension(x509.BasicConstraints(True, None), True)
    leaf = made(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Ann")]), key.public_key(), days)
    if purposes:
        leaf = leaf.add_extension(x509.ExtendedKeyUsage(purposes), False)
    signed = leaf.sign(root, hashes.SHA256())
    path = folder / "elsewhere.pem"
    path.write_bytes(ca.sign(root, hashes.SHA256()).public_bytes(Encoding.PEM))
    return path, _card(signed, signed.public_bytes(Encoding.PEM), key, folder)


def leave(browser: Browser, target: str = "") -> str:
    """Where the sign-in page sends a browser."""
    answer = browser.get(f"/ui/sign-in/certificate?{urlencode({'next': target})}")
    assert answer.status_code == 303, answer.text
    return answer.location


def come(browser: Browser, door: Door, card: Card | None, target: str = "") -> TestResponse:
    """The whole way."""
    status, back = door.show(leave(browser, target), card)
    assert status == 303
    assert back.startswith("https://localhost:8443/ui/sign-in/certificate/back?")
    return browser.get(back.removeprefix("https://localhost:8443"))


def bound(authority: Authority, card: Card, *roles: str) -> str:
    name = invite(authority, *(roles or ("operator",)))
    bindings.bind(authority, name, card.certificate, OPERATOR)
    return name


def events(authority: Authority, name: str) -> list[str]:
    return [event["action"] for event in history(authority.store, f"user:{name}")]


# --- in ---------------------------------------------------------------------------------------------


def test_a_bound_certificate_signs_in_and_proves_nothing_more(
    browser: Browser, door: Door, card: Card, authority: Authority
) -> None:
    name = bound(authority, card)
    assert "Sign in with a certificate" in browser.get("/ui/sign-in").text
    done = come(browser, door, card, "/ui/reports")
    assert (done.status_code, done.location) == (303, "/ui/reports")
    [one] = authority.store.sign_ins(name, authority.clock())
    assert (one.method, one.fresh_at) == ("certificate", 0)
    assert events(authority, name) == ["user.invited", "user.certificate-bound", "user.signed-in"]
    assert browser.get("/ui/").status_code == 200  # nothing has to be enrolled to look
    assert browser.get("/ui/issue/here").location.startswith("/ui/confirm")
    assert browser.post("/ui/enrol/passkey/options").status_code in (303, 403)  # nor a way to a stronger credential
    assert "a certificate signs in, and confirms nothing" in browser.get("/ui/confirm").text
    page = browser.get("/ui/account").text
    assert card.sha256 in page
    assert bindings.own(authority, take_seat(authority, browser.cookie))[0].subject.endswith(".test")  # its name


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=str)
def test_the_door_alone_asks_for_a_certificate(door: Door, version: ssl.TLSVersion) -> None:
    option = "-tls1_2" if version == ssl.TLSVersion.TLSv1_2 else "-tls1_3"

    def asked(at: tuple[str, int]) -> bool:
        command = ["openssl", "s_client", "-connect", f"{at[0]}:{at[1]}", "-servername", "localhost", "-msg", option]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
        assert "BEGIN CERTIFICATE" in done.stdout
        return "CertificateRequest" in done.stdout

    assert asked(door.at)
    assert not asked(door.main)


def test_no_session_is_resumed_past_the_certificate(door: Door, card: Card) -> None:
    for versions in ({"maximum_version": ssl.TLSVersion.TLSv1_2}, {}):
        context = door.context(card, **versions)
        with socket.create_connection(door.at) as plain, context.wrap_socket(plain, server_hostname="localhost") as one:
            one.sendall(b"GET /x HTTP/1.1\r\n\r\n")
            assert one.recv(100).startswith(b"HTTP/1.1 404")
            session = one.session
        if session is None:
            continue
        with (
            socket.create_connection(door.at) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as two,
        ):
            assert not two.session_reused


# --- not in -----------------------------------------------------------------------------------------


def test_without_a_certificate_no_header_helps(
    browser: Browser, door: Door, card: Card, authority: Authority, ui: Flask
) -> None:
    bound(authority, card)
    pem = card.certificate.public_bytes(Encoding.PEM).decode().replace("\n", " ")
    for header in SPOOFS:
        status, back = door.show(leave(browser), None, {header: pem})
        assert (status, back) == (303, "https://localhost:8443/ui/sign-in/certificate/back?refused=missing")
        assert browser.get("/ui/", **{header.replace("-", "_"): pem}).location.startswith("/ui/sign-in")
        spoofed = browser.get("/ui/sign-in/certificate/back?code=x", **{header.replace("-", "_"): pem})
        assert spoofed.status_code == 401
    answer = come(browser, door, None)
    assert answer.status_code == 401
    assert "showed no certificate" in answer.text
    assert browser.cookie == ""


def test_what_is_bound_to_nobody_signs_nobody_in(
    browser: Browser, door: Door, card: Card, authority: Authority
) -> None:
    before = authority.store.people()
    answer = come(browser, door, card)
    assert answer.status_code == 401
    assert "Nobody signs in by this certificate" in answer.text
    assert authority.store.people() == before
    assert events(authority, "unknown")[-1] == "user.sign-in-failed"


@pytest.mark.parametrize("reason", [Reason.KEY_COMPROMISE, Reason.CERTIFICATE_HOLD])
def test_a_revoked_or_held_certificate_signs_nobody_in(
    browser: Browser, door: Door, card: Card, authority: Authority, reason: Reason
) -> None:
    bound(authority, card)
    back = door.show(leave(browser), card)[1]
    authority.revoke(authority.store.by_sha256(card.sha256), reason, OPERATOR)
    assert browser.get(back.removeprefix("https://localhost:8443")).status_code == 401  # between door and door
    assert come(browser, door, card).status_code == 401
    assert browser.cookie == ""


def test_an_unbound_certificate_and_a_shut_out_person_end_at_once(
    browser: Browser, door: Door, card: Card, authority: Authority
) -> None:
    name = bound(authority, card)
    come(browser, door, card)
    people.disable(authority, name, OPERATOR)
    assert come(browser, door, card).status_code == 401
    people.enable(authority, name, OPERATOR)
    assert come(browser, door, card).status_code == 303
    back = door.show(leave(browser), card)[1]
    bindings.unbind(authority, name, card.sha256, OPERATOR)
    assert browser.get("/ui/").location.startswith("/ui/sign-in")  # what he was signed in with has ended
    assert browser.get(back.removeprefix("https://localhost:8443")).status_code == 401
    assert events(authority, name)[-1] == "user.certificate-unbound"
    with pytest.raises(NotFound):
        bindings.unbind(authority, name, card.sha256, OPERATOR)


def test_tls_refuses_what_is_foreign_or_for_servers(
    browser: Browser, door: Door, authority: Authority, tmp_path: Path
) -> None:
    for one in (foreign(tmp_path, ExtendedKeyUsageOID.CLIENT_AUTH)[1], issue(authority, tmp_path, "server")):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            door.show(leave(browser), one)


def test_a_certificate_without_its_key_is_none(browser: Browser, door: Door, card: Card, tmp_path: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    forged = _card(card.certificate, card.chain.read_bytes(), other, tmp_path)
    with pytest.raises(ssl.SSLError):
        door.show(leave(browser), forged)


# --- the round --------------------------------------------------------------------------------------


def test_a_code_is_good_once_soon_and_in_the_browser_that_began(
    browser: Browser, door: Door, card: Card, authority: Authority, ui: Flask, world: World
) -> None:
    bound(authority, card)
    leaves = leave(browser)
    ticket = browser.client.get_cookie(TICKET, domain="localhost").value
    back = door.show(leaves, card)[1].removeprefix("https://localhost:8443")
    assert door.show(leaves, card)[1].endswith("refused=unknown")  # a state is good once too
    other = Browser(ui, authority)
    assert other.get(back).status_code == 401  # a link to it signs nobody in as somebody else
    leave(other)
    assert other.get(back).status_code == 401
    assert other.cookie == ""
    assert browser.get(back).status_code == 303
    browser.client.set_cookie(TICKET, ticket, domain="localhost", secure=True)
    assert browser.get(back).status_code == 401
    back = door.show(leave(browser), card)[1].removeprefix("https://localhost:8443")
    world.clock.ahead += 61
    try:
        assert browser.get(back).status_code == 401
    finally:
        world.clock.ahead = 0


def test_a_code_names_no_other_certificate(
    browser: Browser, door: Door, card: Card, authority: Authority, tmp_path: Path
) -> None:
    bound(authority, card)
    chief = issue(authority, tmp_path)
    bound(authority, chief, "administrator")
    back = door.show(leave(browser), card)[1].removeprefix("https://localhost:8443")
    assert card.sha256 in back
    assert browser.get(back.replace(card.sha256, chief.sha256)).status_code == 401


def test_a_sign_in_gets_a_new_cookie_and_leads_nowhere_else(
    browser: Browser, door: Door, card: Card, authority: Authority
) -> None:
    bound(authority, card)
    browser.client.set_cookie("__Host-certwright", "planted", domain="localhost", secure=True)
    for target in ("https://evil.test/", "//evil.test", "/ui/../../x", "/ui/\\evil.test"):
        assert come(browser, door, card, target).location == "/ui/"
        assert browser.cookie not in ("", "planted")
    state = parse_qs(urlsplit(leave(browser)).query)["state"][0]
    for query in (f"state={state}&next=//evil.test", f"next=//evil.test&state={state}", f"state={state.upper()}A", ""):
        assert door.show(f"/sign-in?{query}", card) == (404, "")
    assert door.show(f"/sign-in?state={'0' * 64}", card)[1].endswith("refused=unknown")


def test_it_takes_two_doors(browser: Browser, authority: Authority, card: Card) -> None:
    """Neither the secret in the cookie nor the state in the URL stands in the database."""
    secret = "s" * 43
    state = parse_qs(urlsplit(certificate_sign_on.begin(authority, secret)).query)["state"][0]
    kept = authority.store.rows("SELECT id FROM webauthn_challenge WHERE purpose = ?", certificate_sign_on.ASKED)
    assert not {secret, state} & {row[0] for row in kept}


def test_whoever_sends_slowly_or_much_is_dropped(door: Door) -> None:
    with (
        socket.create_connection(door.at) as plain,
        door.context(None).wrap_socket(plain, server_hostname="localhost") as one,
    ):
        one.settimeout(30)
        assert sent_until_dropped(one) < 200
    waiting = [socket.create_connection(door.at) for _ in range(certificate_door.AT_ONCE * 2)]
    main = HTTPSConnection("localhost", door.main[1], context=door.context(None), timeout=15)
    main.request("GET", "/health")
    assert main.getresponse().status == 200  # the main door knows nothing of it
    main.close()
    for one in waiting:
        one.close()


def sent_until_dropped(one: ssl.SSLSocket) -> int:
    """How many pieces of 4 KiB without an end of the head go out before the door has had enough."""
    for number in range(200):
        try:
            one.sendall(b"x" * 4096)
        except OSError:
            return number
        time.sleep(0.01)
    return 200


# --- binding ----------------------------------------------------------------------------------------


def test_only_what_can_sign_in_is_bound(authority: Authority, card: Card, tmp_path: Path) -> None:
    name = bound(authority, card)
    with pytest.raises(Conflict):
        bindings.bind(authority, invite(authority, "viewer"), card.certificate, OPERATOR)
    with pytest.raises(BadRequest):
        bindings.bind(authority, name, issue(authority, tmp_path, "server").certificate, OPERATOR)
    with pytest.raises(BadRequest):
        bindings.bind(authority, name, foreign(tmp_path, ExtendedKeyUsageOID.CLIENT_AUTH)[1].certificate, OPERATOR)
    with pytest.raises(NotFound):
        bindings.bind(authority, "nobody-of-that-name", card.certificate, OPERATOR)
    people.invite(authority, f"{name}x", ("viewer",), (), OPERATOR, subject=f"https://idp.test {name}")
    with pytest.raises(Conflict):
        bindings.bind(authority, f"{name}x", issue(authority, tmp_path).certificate, OPERATOR)


@pytest.mark.parametrize(
    ("purposes", "days", "good"),
    [
        ((ExtendedKeyUsageOID.CLIENT_AUTH,), 1, True),
        ((ExtendedKeyUsageOID.CLIENT_AUTH,), -1, False),
        ((ExtendedKeyUsageOID.SERVER_AUTH,), 1, False),
        ((), 1, False),
    ],
    ids=["good", "expired", "for servers", "for anything"],
)
@pytest.mark.usefixtures("door")  # which has a certificate made for itself
def test_a_foreign_ca_is_believed_where_it_is_named(
    authority: Authority, browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    purposes: tuple[x509.ObjectIdentifier, ...], days: int, good: bool,
) -> None:  # fmt: skip
    """Over a handshake in this process, by the context that the door makes."""
    roots, one = foreign(tmp_path, *purposes, days=days)
    config = ClientCertificates(listen="127.0.0.1:1", ca_file=roots)
    monkeypatch.setitem(authority.config.ui.__dict__, "client_certificates", config)
    name = invite(authority, "viewer")
    if not good:
        with pytest.raises(BadRequest):
            bindings.bind(authority, name, one.certificate, OPERATOR)
    else:
        bindings.bind(authority, name, one.certificate, OPERATOR)
    der = handshake(certificate_door.context(authority), one)
    assert (der is not None) == (good or not purposes)  # TLS takes one for anything, and the desk does not
    state = parse_qs(urlsplit(leave(browser)).query)["state"][0]
    if good:
        assert certificate_sign_on.hand_over(authority, state, der or b"")
    elif der:
        with pytest.raises(Exception, match="does not say what it is for"):
            certificate_sign_on.hand_over(authority, state, der)


def test_roots_that_cannot_be_read_are_told_at_the_start(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate_door.demand_roots(authority.config)
    roots, _ = foreign(tmp_path)
    (tmp_path / "empty.pem").write_text("")
    for file, good in ((roots, True), (tmp_path / "empty.pem", False), (tmp_path / "missing.pem", False)):
        config = ClientCertificates(listen="127.0.0.1:1", ca_file=file)
        monkeypatch.setitem(authority.config.ui.__dict__, "client_certificates", config)
        if good:
            certificate_door.demand_roots(authority.config)
        else:
            with pytest.raises(ConfigError, match="ca_file"):
                certificate_door.demand_roots(authority.config)


def test_the_doctor_looks_at_the_door(
    door: Door, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = checks.Patient(tmp_path / "none")
    patient.authority = authority
    look = checks.CHECKS["client certificates"]
    assert look(patient) == "ready"
    listen = authority.config.ui.client_certificates.listen
    for there, said in (
        (ClientCertificates(listen=f"127.0.0.1:{free_port()}"), "refused"),
        (ClientCertificates(listen=listen, ca_file=tmp_path / "missing.pem"), "ca_file"),
        (ClientCertificates(listen=authority.config.server.https_listen), "302|303|200|403"),
    ):
        monkeypatch.setitem(authority.config.ui.__dict__, "client_certificates", there)
        with pytest.raises(CAError, match=said):
            look(patient)
    monkeypatch.setitem(authority.config.ui.__dict__, "client_certificates", ClientCertificates())
    assert look(patient) == "none sign anybody in"


def handshake(server: ssl.SSLContext, one: Card) -> bytes | None:
    """The certificate that a handshake of both ends proves, or None when the server refuses it."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.load_cert_chain(one.chain, one.key)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True))
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return None
    return ends[1].getpeercert(binary_form=True)


def test_commands_bind_list_and_unbind(world: World, authority: Authority, card: Card) -> None:
    name = invite(authority, "viewer")
    assert world.run("user", "certificate", "bind", name, str(card.chain), "--dry-run").returncode == 0
    assert authority.store.client_certificates(name) == ()
    done = world.run("user", "certificate", "bind", name, str(card.chain))
    assert (done.returncode, done.stdout.strip()) == (0, f"{card.sha256} signs {name} in.")
    assert world.run("user", "certificate", "bind", name, str(card.chain)).returncode != 0
    assert world.run("user", "certificate", "bind", name, str(card.key)).returncode == 2
    assert card.sha256 in world.run("user", "certificate", "list", name, "--json").stdout
    assert world.run("user", "certificate", "unbind", "another", card.sha256, "--yes").returncode == 3
    spelled = ":".join(card.sha256[at : at + 2] for at in range(0, 64, 2)).upper()
    assert world.run("user", "certificate", "unbind", name, spelled, "--yes").returncode == 0
    assert authority.store.client_certificates(name) == ()


def test_people_and_account_show_and_end_bindings(ui: Flask, authority: Authority, card: Card, tmp_path: Path) -> None:
    name = bound(authority, card)
    admin, auditor = signed_in(ui, authority, "administrator"), signed_in(ui, authority, "auditor")
    assert card.sha256 in auditor.get("/ui/people").text
    path = f"/ui/people/{name}/certificates/{card.sha256}/unbind"
    assert auditor.post(path).status_code == 403
    assert admin.post(path, _token="").status_code in (303, 403)
    admin.post(path)
    assert authority.store.client_certificates(name) == ()
    own, mine, yours = signed_in(ui, authority, "viewer"), issue(authority, tmp_path), issue(authority, tmp_path)
    bindings.bind(authority, own.person, mine.certificate, OPERATOR)
    bound(authority, yours)
    assert own.post(f"/ui/account/certificates/{yours.sha256}/remove").status_code == 404
    assert own.post(f"/ui/account/certificates/{mine.sha256}/remove").status_code == 303
    assert own.get("/ui/").location.startswith("/ui/sign-in")
    assert authority.store.client_certificates(own.person) == ()


def test_it_is_off_by_default(browser: Browser, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(authority.config.ui.__dict__, "client_certificates", ClientCertificates())
    assert "certificate" not in browser.get("/ui/sign-in").text
    assert browser.get("/ui/sign-in/certificate").status_code == 404
    assert browser.get("/ui/sign-in/certificate/back?code=x").status_code == 401
