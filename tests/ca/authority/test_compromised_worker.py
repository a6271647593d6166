"""The attack that the signer is made for: a web worker is somebody else's, with full use of socket and database.

It may ask for signatures, that is what a web worker does. It gets no CA, no responder, no name and no life outside
the limits, no lower CRL, no serial twice, and no future that shuts the honest out; whatever it gets stands in the
ledger, and reconciliation names it.
"""

import threading
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from ca import crl
from ca.authority import Authority
from ca.authority.reconcile import Finding
from ca.errors import CAError, Conflict, SigningRefused, StalePublication
from ca.keys import ledger, wire
from ca.keys.checkpoint import Checkpoint
from ca.keys.client import SignerClient
from ca.records import KeyPurpose, Reason, SignKind
from tests.ca.authority.thief import DAY, SERVER, Thief
from tests.ca.authority.world import OPERATOR, World, a_request

pytestmark = pytest.mark.slow


INSIDE = x509.DNSName("stolen.test")


@pytest.fixture
def thief(authority: Authority) -> Thief:
    return Thief(authority.signer, authority.active_issuer())


def differences(authority: Authority) -> set[Finding]:
    folder: Path = authority.config.path(authority.config.signer.state_dir) / "ledger"
    return set(authority.reconcile(lambda: ledger.read(folder)).differences)


def usage(**also: bool) -> x509.KeyUsage:
    rest = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only")
    flags = dict.fromkeys((*rest, "decipher_only", "key_cert_sign", "crl_sign"), False) | {"digital_signature": True}
    return x509.KeyUsage(**{**flags, **also})


def purposes(*oids: x509.ObjectIdentifier) -> x509.ExtendedKeyUsage:
    return x509.ExtendedKeyUsage(list(oids))


WANTED: dict[str, Callable[[Thief], bytes]] = {
    "a CA": lambda t: t.certificate(INSIDE, extensions=(SERVER, x509.BasicConstraints(True, 0))),
    "a signer of certificates": lambda t: t.certificate(INSIDE, extensions=(SERVER, usage(key_cert_sign=True))),
    "a signer of CRLs": lambda t: t.certificate(INSIDE, extensions=(SERVER, usage(crl_sign=True))),
    "a responder": lambda t: t.certificate(INSIDE, extensions=(purposes(ExtendedKeyUsageOID.OCSP_SIGNING),)),
    "every purpose": lambda t: t.certificate(
        INSIDE, extensions=(purposes(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE),)
    ),
    "no purpose": lambda t: t.certificate(INSIDE, extensions=()),
    "a bank's name": lambda t: t.certificate(x509.DNSName("bank.example")),
    "a bank's name beside its own": lambda t: t.certificate(INSIDE, x509.DNSName("bank.example")),
    "a bank as common name": lambda t: t.certificate(INSIDE, common_name="bank.example"),
    "a public address": lambda t: t.certificate(x509.IPAddress(ip_address("8.8.8.8"))),
    "an e-mail address": lambda t: t.certificate(x509.RFC822Name("ceo@bank.example")),
    "no name": lambda t: t.certificate(),
    "a life beyond its issuer's": lambda t: t.certificate(INSIDE, life=20 * 365 * DAY),
    "a life that begins next week": lambda t: t.certificate(INSIDE, begin=7 * DAY),
    "a life that began last week": lambda t: t.certificate(INSIDE, begin=-7 * DAY, life=30 * DAY),
}


@pytest.mark.parametrize("what", WANTED)
def test_it_gets_no_certificate_outside_the_limits(thief: Thief, what: str) -> None:
    with pytest.raises(SigningRefused):
        thief.sign(SignKind.CERTIFICATE, WANTED[what](thief))


def test_it_makes_no_responder_and_no_root_and_re_points_no_issuer(authority: Authority, thief: Thief) -> None:
    signer = thief.signer
    for purpose in (KeyPurpose.RESPONDER, KeyPurpose.ROOT):
        with pytest.raises(SigningRefused):
            signer.generate("mine", purpose, "ec-p256")
    with pytest.raises(Conflict):
        signer.generate(thief.issuer.key_id, KeyPurpose.ISSUING, "ec-p256")
    other = authority.store.issuer("root-g1").certificate
    with pytest.raises(CAError):
        signer.certify(thief.issuer.key_id, other)
    for key in iter(signer.keys()):
        if key.purpose is not KeyPurpose.ISSUING:
            with pytest.raises(SigningRefused):
                thief.sign(SignKind.CERTIFICATE, thief.certificate(INSIDE), key.id)


def test_it_has_no_digest_signed_and_no_question_beside_the_list(authority: Authority, thief: Thief) -> None:
    with pytest.raises(SigningRefused):
        thief.sign(SignKind.CERTIFICATE, bytes(32))
    assert {one.__struct_config__.tag for one in wire.Requests.__args__} == {  # type: ignore[attr-defined]
        "sign",
        "generate",
        "certify",
        "renew-responder",
        "keys",
        "last-crl",
        "ledger",
        "freshen",
        "health",
        "unlock",
        "accept-clock",
        "deactivate",
    }


def test_it_signs_no_serial_twice(authority: Authority, thief: Thief) -> None:
    honest = authority.issue(a_request())
    with pytest.raises(SigningRefused, match="already"):
        thief.sign(SignKind.CERTIFICATE, thief.certificate(INSIDE, serial=honest.serial))


def test_INC02_it_gets_no_older_crl_and_none_from_the_future(authority: Authority, thief: Thief) -> None:
    """An older one would forget revocations; one from the future would keep every honest one from being signed."""
    authority.revoke(authority.issue(a_request()), Reason.KEY_COMPROMISE, OPERATOR)
    url = crl.shard_url(authority.config.server.status_url, thief.issuer.id, 0)
    state = authority.store.shard(thief.issuer.id, 0)
    now = authority.clock() * 1000
    for tbs in (thief.crl(state.number, url=url), thief.crl(1, url=url), thief.crl(now + 1, url=url, begin=-DAY)):
        with pytest.raises(StalePublication):
            thief.sign(SignKind.CRL, tbs)
    far = (
        thief.crl(1 << 60, url=url),
        thief.crl(1 << 150, url=url),
        thief.crl(now + DAY * 1000, url=url),
        thief.crl(now + 9, url=url, begin=DAY),
        thief.crl(now + 9, url=url, life=3650 * DAY),
    )
    for tbs in far:
        with pytest.raises(SigningRefused):
            thief.sign(SignKind.CRL, tbs)
    assert authority.revoke(authority.issue(a_request()), Reason.SUPERSEDED, OPERATOR).published_in is not None


def test_a_restart_makes_it_forget_nothing(authority: Authority, thief: Thief, world: World) -> None:
    honest = authority.issue(a_request())
    world.kill_signer()
    world.start_signer()
    with pytest.raises(SigningRefused, match="already"):
        thief.sign(SignKind.CERTIFICATE, thief.certificate(INSIDE, serial=honest.serial))


def test_a_flood_of_its_own_is_told_to_wait_and_starves_no_revocation(authority: Authority, thief: Thief) -> None:
    """The lanes: while it asks for as many leaves as the socket takes, a revocation is published in time."""
    stop = threading.Event()

    def flood() -> None:
        signer = SignerClient(authority.config.path(authority.config.signer.socket))
        own = Thief(signer, thief.issuer)
        while not stop.is_set():
            try:
                own.sign(SignKind.CERTIFICATE, own.certificate(INSIDE))
            except CAError:
                continue

    certificate = authority.issue(a_request())
    threads = [threading.Thread(target=flood) for _ in range(8)]
    for one in threads:
        one.start()
    try:
        published_in = authority.revoke(certificate, Reason.KEY_COMPROMISE, OPERATOR).published_in
    finally:
        stop.set()
        for one in threads:
            one.join(20)
    assert published_in is not None
    assert published_in < 5


def test_it_sets_the_journal_neither_back_nor_far_ahead(authority: Authority, thief: Thief) -> None:
    while authority.sequence_journal().done:
        pass
    head = authority.store.last_head()
    for size, error in ((head.size, StalePublication), (head.size - 1, StalePublication), (1 << 40, SigningRefused)):
        with pytest.raises(error):
            thief.sign(SignKind.CHECKPOINT, Checkpoint(head.origin, size, bytes(32)).text(), "journal-g1")


def test_whatever_it_gets_stands_in_the_ledger_and_is_reported(authority: Authority, thief: Thief) -> None:
    """What a worker may ask for by its duty it may also steal: a leaf inside the limits, a CRL, a head one ahead.

    The last test of its CA: a forged head stops the issuing, as it does in life.
    """
    honest = authority.issue(a_request())
    authority.revoke(honest, Reason.KEY_COMPROMISE, OPERATOR)
    while authority.sequence_journal().done:
        pass
    before = differences(authority)
    time.sleep(1.1)  # an empty CRL of the very second of the revocation would be an honest one
    url = crl.shard_url(authority.config.server.status_url, thief.issuer.id, 0)
    head = authority.store.last_head()
    thief.sign(SignKind.CERTIFICATE, thief.certificate(INSIDE))
    thief.sign(SignKind.CRL, thief.crl(authority.clock() * 1000, url=url))
    thief.sign(SignKind.CRL, thief.crl(authority.clock() * 1000, url="http://elsewhere.test/all.crl"))
    thief.sign(SignKind.CHECKPOINT, Checkpoint(head.origin, head.size + 1, bytes(32)).text(), "journal-g1")
    found = differences(authority) - before
    assert sorted(one.kind for one in found) == ["certificate", "checkpoint", "crl", "crl"]
    assert all(one.counter > 0 for one in found)
