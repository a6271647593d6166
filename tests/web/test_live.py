"""Answers that are signed live: nonces, SHA-256 on demand, several certificates; and what stands in without signer."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from werkzeug.test import Client

from ca import relying
from ca.errors import BadRequest, SigningRefused, Unavailable
from ca.keys import der
from ca.ocsp import cert_id
from ca.records import Publication, Reason, RevokeRequest
from tests.ca.authority.conftest import make, template  # noqa: F401 - worlds without token and processes
from tests.ca.authority.fast import ISSUER, FastWorld
from tests.ca.authority.world import OPERATOR
from tests.ca.conftest import pkilint  # noqa: F401
from web.counters import StatusCounts
from web.gate import BLOCKING, MustBlock
from web.live import Live
from web.status import StatusPlane

HASHES = {"sha1": hashes.SHA1(), "sha256": hashes.SHA256()}
GONE = RevokeRequest(Reason.KEY_COMPROMISE, OPERATOR)

pytestmark = pytest.mark.slow


class World:
    """A fast world with a status plane before it that has the world's signer within reach."""

    def __init__(self, fast: FastWorld) -> None:
        self.fast = fast
        issuing = fast.hierarchy.issuing_certificate.public_bytes(Encoding.DER)
        fast.authority.publisher.put(Publication(f"ca/{ISSUER}.cer", issuing, 1, "application/pkix-cert", 1))
        self.live = Live(fast.folder / "nowhere", 1000)
        self.live._signer = fast.signer
        self.plane = StatusPlane(fast.authority.publisher.folder, fast.clock, StatusCounts(), self.live)
        self.client = Client(self.plane)

    def ask(self, *serials: int, algorithm: str = "sha1", nonce: bytes = b"", **environ: Any) -> ocsp.OCSPResponse:
        body = self.request(serials, algorithm, nonce)
        answer = self.client.post(
            "/ocsp", data=body, content_type="application/ocsp-request", environ_overrides=environ
        )
        assert answer.status_code == 200
        assert answer.content_type == "application/ocsp-response"
        self.headers = answer.headers
        return ocsp.load_der_ocsp_response(answer.data)

    def request(self, serials: Any, algorithm: str = "sha1", nonce: bytes = b"") -> bytes:
        made = [self._one(serial, algorithm, nonce) for serial in serials]
        if len(made) == 1:
            return made[0]
        lists = [list(der.children(next(iter(der.children(one))))) for one in made]
        singles = b"".join(der.content(one[0]) for one in lists)
        tbs = der.tlv(der.SEQUENCE, der.tlv(der.SEQUENCE, singles) + b"".join(lists[0][1:]))
        return der.tlv(der.SEQUENCE, tbs)

    def _one(self, serial: int, algorithm: str, nonce: bytes) -> bytes:
        who = cert_id(self.fast.hierarchy.issuing_certificate, serial, algorithm)
        builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
            who.name_hash, who.key_hash, serial, HASHES[algorithm]
        )
        if nonce:
            builder = builder.add_extension(x509.OCSPNonce(nonce), False)
        return builder.build().public_bytes(Encoding.DER)

    def verify(self, response: ocsp.OCSPResponse) -> None:
        relying.verify_answer(response, self.fast.hierarchy.issuing_certificate, self.fast.clock())


@pytest.fixture
def world(make: Callable[..., FastWorld]) -> World:  # noqa: F811
    return World(make())


@pytest.mark.parametrize("size", [1, 32, 128])
def test_o07_a_nonce_is_echoed_and_nothing_else_changes(world: World, size: int, pkilint: Any) -> None:  # noqa: F811
    serial = world.fast.issue().serial
    published, live = world.ask(serial), world.ask(serial, nonce=b"\x07" * size)
    world.verify(live)
    assert live.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"\x07" * size
    assert (live.certificate_status, live.this_update_utc, live.next_update_utc, live.serial_number) == (
        published.certificate_status, published.this_update_utc, published.next_update_utc, serial,
    )  # fmt: skip
    assert live.responder_key_hash == published.responder_key_hash
    assert world.headers["Cache-Control"] == "no-store"
    body = world.client.post(
        "/ocsp", data=world.request([serial], nonce=b"\x07" * size), content_type="application/ocsp-request"
    ).data
    assert pkilint("ocsp", body) == []


def test_o02_sha256_is_signed_when_asked_for_and_kept(world: World) -> None:
    serial = world.fast.issue().serial
    before = len(world.fast.signer.signed)
    answers = [world.ask(serial, algorithm="sha256") for _ in range(3)]
    assert len(world.fast.signer.signed) == before + 1
    for one in answers:
        world.verify(one)
        assert isinstance(one.hash_algorithm, hashes.SHA256)
        assert one.issuer_key_hash == cert_id(world.fast.hierarchy.issuing_certificate, serial, "sha256").key_hash
    world.fast.authority.revoke_serial(ISSUER, serial, GONE)
    assert world.ask(serial, algorithm="sha256").certificate_status is ocsp.OCSPCertStatus.REVOKED, "both are published"
    assert world.ask(serial, algorithm="sha256", nonce=b"n" * 8).revocation_reason is x509.ReasonFlags.key_compromise


def test_o10_several_certificates_are_answered_in_one(world: World) -> None:
    good, gone = world.fast.issue().serial, world.fast.issue().serial
    world.fast.authority.revoke_serial(ISSUER, gone, GONE)
    response = world.ask(good, gone, nonce=b"n" * 16)
    singles = {one.serial_number: one.certificate_status for one in response.responses}
    assert singles == {good: ocsp.OCSPCertStatus.GOOD, gone: ocsp.OCSPCertStatus.REVOKED}
    assert response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"n" * 16
    key = world.fast.hierarchy.responder_key.public_key()
    from cryptography.hazmat.primitives.asymmetric import ec

    key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(hashes.SHA256()))
    assert world.ask(good, 4711).response_status is ocsp.OCSPResponseStatus.UNAUTHORIZED, "one is unknown"
    many = [world.fast.issue().serial for _ in range(17)]
    assert world.ask(*many[:16]).response_status is ocsp.OCSPResponseStatus.SUCCESSFUL
    assert world.ask(*many).response_status is ocsp.OCSPResponseStatus.UNAUTHORIZED, "bounded"


def test_without_signer_the_published_answer_stands_in(world: World) -> None:
    serial = world.fast.issue().serial
    world.fast.signer.away = True
    answer = world.ask(serial, nonce=b"n" * 32)
    world.verify(answer)
    assert not list(answer.extensions)
    assert world.ask(serial, algorithm="sha256").response_status is ocsp.OCSPResponseStatus.TRY_LATER
    assert world.ask(4711, nonce=b"n").response_status is ocsp.OCSPResponseStatus.UNAUTHORIZED


def test_all_ahead_where_no_signer_is_in_reach(make: Callable[..., FastWorld]) -> None:  # noqa: F811
    fast = make()
    fast.config = fast.config.model_copy(update={"ocsp": fast.config.ocsp.model_copy(update={"presign": "all"})})
    fast.restart()
    world = World(fast)
    serial = fast.issue().serial
    fast.signer.away = True
    world.verify(world.ask(serial, algorithm="sha256"))


def test_the_budget_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    serial = world.fast.issue().serial
    monkeypatch.setattr("web.live.time.monotonic", lambda: 1.0)
    world.live._tokens, world.live._filled = 2.0, 1.0
    nonces = [bool(list(world.ask(serial, nonce=b"n" * 16).extensions)) for _ in range(4)]
    assert nonces == [True, True, False, False]


def test_an_application_on_the_loop_never_waits(world: World) -> None:
    """The gate asks first: then the plane says that it must block, or does without."""
    serial = world.fast.issue().serial
    with pytest.raises(MustBlock):
        world.ask(serial, nonce=b"n" * 16, **{BLOCKING: "ask"})
    assert not list(world.ask(serial, nonce=b"n" * 16, **{BLOCKING: "no"}).extensions)
    assert list(world.ask(serial, nonce=b"n" * 16, **{BLOCKING: "yes"}).extensions)
    assert world.ask(serial, **{BLOCKING: "ask"}).certificate_status is ocsp.OCSPCertStatus.GOOD


# --- the signer's side --------------------------------------------------------------------------


def _published(world: World, serial: int) -> bytes:
    return world.client.post("/ocsp", data=world.request([serial]), content_type="application/ocsp-request").data


def test_only_what_this_signer_said_and_is_current_is_said_again(world: World) -> None:
    signer = world.fast.signer
    published = _published(world, world.fast.issue().serial)
    signer.freshen((published,), ("sha1",), b"n")
    signed = ocsp.load_der_ocsp_response(published)
    later = (signed.this_update_utc + timedelta(seconds=1)).strftime("%Y%m%d%H%M%SZ").encode()
    tbs = signed.tbs_response_bytes.replace(signed.this_update_utc.strftime("%Y%m%d%H%M%SZ").encode(), later)
    assert tbs != signed.tbs_response_bytes
    with pytest.raises(SigningRefused):
        signer.freshen((published.replace(signed.tbs_response_bytes, tbs),), ("sha1",), b"n")
    for answers, algorithms, nonce in (
        ((b"junk",), ("sha1",), b""), ((), (), b""), ((published,) * 17, ("sha1",) * 17, b""),
        ((published,), ("md5",), b""), ((published,), ("sha1", "sha1"), b""), ((published,), ("sha1",), b"n" * 129),
    ):  # fmt: skip
        with pytest.raises(BadRequest):
            signer.freshen(answers, algorithms, nonce)
    world.fast.clock.now += world.fast.config.ca.ocsp_life
    with pytest.raises(SigningRefused):
        signer.freshen((published,), ("sha1",), b"n")


def test_an_old_good_answer_is_not_made_fresh_after_the_revocation(world: World) -> None:
    """A thief of the status host keeps good answers; the signer remembers what was revoked since."""
    serial = world.fast.issue().serial
    good = _published(world, serial)
    world.fast.authority.revoke_serial(ISSUER, serial, RevokeRequest(Reason.CERTIFICATE_HOLD, OPERATOR))
    with pytest.raises(SigningRefused):
        world.fast.signer.freshen((good,), ("sha1",), b"n")
    world.fast.authority.release(ISSUER, serial, RevokeRequest(Reason.CERTIFICATE_HOLD, OPERATOR))
    world.fast.signer.freshen((_published(world, serial),), ("sha1",), b"n")


def test_live_is_safe_between_threads(world: World) -> None:
    published = _published(world, world.fast.issue().serial)
    made: list[bytes] = []

    def work() -> None:
        try:
            made.extend(world.live.answer([published], ["sha1"], b"") for _ in range(20))
        except Unavailable:
            raise AssertionError from None

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(made) == 80
