"""tls-alpn-01: the certificate of RFC 8737, the handshake that fetches it, and addresses (A-33, A-34, INC-08)."""

import random
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acme_server.validation.alpn01 import KIND, question
from acme_server.validation.causes import Cause
from acme_server.validation.fetch import Fetch
from acme_server.validation.proof import Proof, judge
from acme_server.validation.wire import Answer, Deed
from ca.config import Config
from ca.names import parse_name
from ca.records import Name, NameKind
from tests.acme_server import net
from tests.acme_server.acme_identifier import Draft

HOST = "www.localhost"
PROOF = Proof(Name(NameKind.DNS, HOST), "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA", "9jg46WB3rR" * 4)
GOOD = Draft(PROOF.key_authorization, [HOST])
GOOD_DER = GOOD.der()


# --- the certificate ----------------------------------------------------------------------------


def verdict_on(draft: Draft, proof: Proof = PROOF) -> str:
    verdict = judge(KIND, Answer(Cause.FETCHED, certificate=draft.der()), proof)
    assert verdict.error in ("", "incorrectResponse")
    return verdict.detail if verdict.error else "good"


def test_A33_the_certificate_of_the_rfc() -> None:
    assert verdict_on(GOOD) == "good"
    assert verdict_on(replace(GOOD, names=["WWW.LocalHost"])) == "good"


FAULTS = {
    "another name": (replace(GOOD, names=["other.localhost"]), "is not for www.localhost"),
    "a parent": (replace(GOOD, names=["localhost"]), "is not for"),
    "its wildcard": (replace(GOOD, names=["*.localhost"]), "is not for"),
    "a name more": (replace(GOOD, names=[HOST, "other.localhost"]), "2 subject alternative names"),
    "the name twice": (replace(GOOD, names=[HOST, HOST]), "2 subject alternative names"),
    "an address more": (replace(GOOD, names=[HOST, "127.0.0.1"]), "2 subject alternative names"),
    "a mail address": (replace(GOOD, names=["a@www.localhost"]), "is not for"),
    "no name": (replace(GOOD, names=[]), "0 subject alternative names"),
    "not critical": (replace(GOOD, critical=False), "not critical"),
    "the old OID": (replace(GOOD, oid="1.3.6.1.5.5.7.1.30.1"), "has no acmeIdentifier"),
    "an ordinary certificate": (replace(GOOD, extended=False), "has no acmeIdentifier"),
    "another key authorization": (replace(GOOD, key_authorization="x.y"), "another key authorization"),
    "an octet more": (replace(GOOD, tail=b"\0"), "another key authorization"),
    "signed by another key": (replace(GOOD, signer=ec.generate_private_key(ec.SECP256R1())), "not self-signed"),
    "of another issuer": (replace(GOOD, issuer="somebody"), "not self-signed"),
}


@pytest.mark.parametrize(("draft", "words"), FAULTS.values(), ids=FAULTS)
def test_A33_a_certificate_that_proves_nothing(draft: Draft, words: str) -> None:
    assert words in verdict_on(draft)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_A34_an_address_is_proved_by_an_address(address: str) -> None:
    proof = replace(PROOF, name=parse_name(NameKind.IP, address))
    assert verdict_on(replace(GOOD, names=[address]), proof) == "good"
    for other in ("127.0.0.2", "::2", HOST, "1.0.0.127.in-addr.arpa"):
        assert "is not for" in verdict_on(replace(GOOD, names=[other]), proof)


@pytest.mark.parametrize("der", [b"", b"0", b"\x30\x80\x00\x00", b"not a certificate", GOOD.der()[:-1], b"\x30" * 5000])
def test_A33_octets_that_are_no_certificate(der: bytes) -> None:
    verdict = judge(KIND, Answer(Cause.FETCHED, certificate=der), PROOF)
    assert "cannot be read" in verdict.detail


UNUSED_BITS = len(GOOD_DER) - len(x509.load_der_x509_certificate(GOOD_DER).signature) - 1
"""The one octet that no signature covers and no parser holds to its word."""


def exchanged(*changes: tuple[int, int]) -> bytes:
    der = bytearray(GOOD_DER)
    for place, change in changes:
        der[place] ^= change * (place != UNUSED_BITS)
    return bytes(der)


def test_A33_no_octet_may_be_another() -> None:
    """A certificate with one octet exchanged proves nothing, and breaks nothing."""
    for place in set(range(len(GOOD_DER))) - {UNUSED_BITS}:
        for change in (0x01, 0x40, 0x80, 0xFF):
            answer = Answer(Cause.FETCHED, certificate=exchanged((place, change)))
            assert judge(KIND, answer, PROOF).error == "incorrectResponse", (place, change)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.integers(0, len(GOOD_DER) - 1), st.integers(1, 255)), min_size=1, max_size=4))
def test_A33_any_octets_get_a_verdict(changes: list[tuple[int, int]]) -> None:
    """A certificate with a few octets exchanged never proves anything but by its own signature."""
    der = exchanged(*changes)
    assert (judge(KIND, Answer(Cause.FETCHED, certificate=der), PROOF).error == "") is (der == GOOD_DER)


# --- the handshake ------------------------------------------------------------------------------


@pytest.fixture
def responder(tmp_path: Path) -> Iterator[net.Responder]:
    one = net.Responder(tmp_path)
    one.certificates[HOST] = GOOD.write(tmp_path / "good.pem")
    yield one
    one.close()


def fetching(port: int, **validation: object) -> Fetch:
    return Fetch.over(Config(mode="demo", acme={"validation": {"tls_alpn_port": port, **validation}}))  # type: ignore[arg-type]


def ask(port: int, proof: Proof = PROOF, seconds: float = 5.0) -> Answer:
    return fetching(port).get(question(proof, seconds))


def test_A33_sni_is_the_name_and_the_connection_is_closed(responder: net.Responder) -> None:
    answer = ask(responder.port)
    assert judge(KIND, answer, PROOF).error == ""
    assert responder.hellos == [HOST]
    (step,) = (one for one in answer.trail if one.deed is Deed.HANDSHAKE)
    assert step.detail.endswith(", acme-tls/1")
    end = time.monotonic() + 5
    while not responder.requests and time.monotonic() < end:
        time.sleep(0.01)
    assert responder.requests == [""]  # not an octet inside TLS, and an end


@pytest.mark.parametrize(("host", "sni"), [("127.0.0.1", "1.0.0.127.in-addr.arpa"), ("::1", f"1.{'0.' * 31}ip6.arpa")])
def test_A34_sni_is_the_reverse_name(tmp_path: Path, host: str, sni: str) -> None:
    proof = replace(PROOF, name=parse_name(NameKind.IP, host))
    responder = net.Responder(tmp_path, host)
    responder.certificates[sni] = replace(GOOD, names=[host]).write(tmp_path / "address.pem")
    assert judge(KIND, ask(responder.port, proof), proof).error == ""
    assert responder.hellos == [sni]
    responder.close()


@pytest.mark.parametrize("protocols", [[], ["h2", "http/1.1"], ["acme-tls/2"]])
def test_A33_only_acme_tls_1_counts(responder: net.Responder, protocols: list[str]) -> None:
    responder.protocols = protocols
    answer = ask(responder.port)
    assert answer.error == "tls"
    assert judge(KIND, answer, PROOF).error == "tls"


def test_A33_a_server_that_does_not_know_the_name(responder: net.Responder) -> None:
    responder.certificates.clear()
    assert judge(KIND, ask(responder.port), PROOF).error == "tls"


def test_INC08_tls_below_1_2_is_refused(tmp_path: Path) -> None:
    context = net.tls_context(tmp_path)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_alpn_protocols(["acme-tls/1"])
    with net.site(net.silence, context=context) as old:
        assert ask(old.port).error == "tls"


def test_A33_what_is_no_tls_at_all() -> None:
    with net.site(net.page(b"hello")) as plain:
        plain.reply = net.raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        answer = ask(plain.port, seconds=1)
    assert judge(KIND, answer, PROOF).error == "tls"
    assert ask(net.closed_port()).error == "connection"


def test_A32_a_handshake_that_hangs_or_drips_ends_with_the_time() -> None:
    for pause in (60.0, 0.05):
        with _dripping(pause) as port:
            started = time.monotonic()
            assert ask(port, seconds=0.7).error == "tls"
            assert time.monotonic() - started < 3


class _dripping:  # noqa: N801 - reads as a word
    """A server that begins a TLS record and sends the rest of it octet by octet."""

    def __init__(self, pause: float) -> None:
        self.pause, self.over = pause, threading.Event()

    def __enter__(self) -> int:
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()
        return int(self.listener.getsockname()[1])

    def _serve(self) -> None:
        try:
            channel, _ = self.listener.accept()
            channel.sendall(b"\x16\x03\x03\x3f\xff")
            while not self.over.wait(self.pause):
                channel.sendall(b"\x02")
        except OSError:
            pass

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.listener.close()


def test_A32_the_address_policy_holds_here_too(responder: net.Responder) -> None:
    closed = Fetch.over(Config(mode="production", acme={"validation": {"tls_alpn_port": responder.port}}))  # type: ignore[arg-type]
    answer = closed.get(question(PROOF, 5))
    assert answer.error == "unauthorized"
    assert responder.hellos == []


def test_A32_no_answer_of_a_tls_server_breaks_the_fetcher() -> None:
    """What servers say instead of a ServerHello: noise, records of every type, ends in the middle."""
    dice = random.Random()

    def lie(channel: socket.socket, _head: bytes) -> None:
        body = dice.randbytes(dice.randrange(0, 600))
        kind = bytes([dice.choice([20, 21, 22, 23, dice.randrange(256)])])
        head = kind + b"\x03" + bytes([dice.randrange(5)]) + len(body).to_bytes(2, "big")
        channel.sendall((head + body)[: dice.randrange(1, len(body) + 6)])

    class Liar(net.Site):
        def _one(self, channel: socket.socket) -> None:
            with channel:
                channel.recv(2048)
                lie(channel, b"")

    site = Liar(net.silence)
    fetch = fetching(site.port)

    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, 2**32))
    def holds(seed: int) -> None:
        dice.seed(seed)
        started = time.monotonic()
        answer = fetch.get(question(PROOF, 0.5))
        assert answer.error in ("tls", "connection")
        assert time.monotonic() - started < 3

    holds()
    site.close()
