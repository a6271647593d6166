"""Published OCSP answers, said again: with the asker's nonce, for another hash, or several in one (RFC 6960, 9654).

Nobody can have anything new said this way. Each answer that is handed in must bear the signature of a responder key of
this signer and be current, and nothing of it changes: status, times and reason are taken over to the second. What this
signer has seen revoked since is not called good again.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha1, sha256
from threading import Lock

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import ocsp

from ca.errors import BadRequest, SigningRefused
from ca.keycheck import key_bits
from ca.keys import der
from ca.keys.algorithms import ALGORITHMS, load_spki, signature_hash, spki_of
from ca.keys.sealed import recording
from ca.keys.signer.pins import Pinned, Pins
from ca.records import KeyPurpose, serial_hex

MOST = 16
"""Answers that one response may join."""

LONGEST_NONCE = 128
REMEMBERED = 200_000
"""Revoked serials that are kept in mind, the newest ones; a restart begins anew."""

_BASIC = bytes.fromhex("06092b0601050507300101")
_HASHES = {"sha1": (SHA1, sha1), "sha256": (SHA256, sha256)}
SignTBS = Callable[[bytes], bytes]


class Revoked:
    """The revocation lane's memory: which serials were last said to be revoked. Thread-safe."""

    def __init__(self) -> None:
        self._serials: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._lock = Lock()

    def note(self, responder: str, serial: int, revoked: bool) -> None:
        """An answer was signed; a later good one (after a hold) takes the serial off again."""
        with self._lock:
            self._serials.pop((responder, serial), None)
            if revoked:
                self._serials[responder, serial] = None
                if len(self._serials) > REMEMBERED:
                    self._serials.popitem(last=False)

    def knows(self, responder: str, serial: int) -> bool:
        """Whether it was last said to be revoked."""
        return (responder, serial) in self._serials


@dataclass(frozen=True, slots=True)
class Said:
    """Published answers by one responder, each with the hash that its asker named the issuer by."""

    responder: Pinned
    answers: tuple[tuple[ocsp.OCSPResponse, str], ...]


def read(pins: Pins, published: Sequence[bytes], algorithms: Sequence[str], now: int) -> Said:
    """The answers, when all are by one responder of this signer and current at `now`.

    Raises `SigningRefused`, and `BadRequest` for what is no answer.
    """
    if not 1 <= len(published) == len(algorithms) <= MOST or set(algorithms) - set(_HASHES):
        raise BadRequest(f"One to {MOST} answers are said again at a time, by {' or '.join(_HASHES)}.")
    try:
        answers = [ocsp.load_der_ocsp_response(one) for one in published]
        keys = {one.responder_key_hash for one in answers}
    except ValueError as error:
        raise BadRequest(f"That is no OCSP answer: {error}.") from None
    responder = next((one for one in pins.all() if _is_by(one, keys)), None)
    if responder is None or not all(_is_current(one, responder, now) for one in answers):
        raise SigningRefused("The answer is not current, or not by a responder of this signer.")
    return Said(responder, tuple(zip(answers, algorithms, strict=True)))


def _is_by(pinned: Pinned, key_hashes: set[bytes | None]) -> bool:
    if pinned.key.purpose is not KeyPurpose.RESPONDER:
        return False
    own = x509.SubjectKeyIdentifier.from_public_key(load_spki(pinned.key.spki)).digest
    return key_hashes == {own}


def _is_current(answer: ocsp.OCSPResponse, responder: Pinned, now: int) -> bool:
    until = answer.next_update_utc
    current = until is not None and answer.this_update_utc.timestamp() <= now < until.timestamp()
    key, row = load_spki(responder.key.spki), ALGORITHMS[responder.key.algorithm]
    return current and row.verifies(key, answer.signature, answer.tbs_response_bytes)


def say_again(said: Said, issuer: Pinned, nonce: bytes, sign: SignTBS) -> bytes:
    """DER of one response over all of these answers, with the nonce if there is one.

    The library makes a response for one certificate: what is joined are the parts of several, before the signature.
    """
    if len(nonce) > LONGEST_NONCE:
        raise BadRequest(f"A nonce has at most {LONGEST_NONCE} octets.")
    delegate = x509.load_der_x509_certificate(said.responder.certificate)
    own = x509.load_der_x509_certificate(issuer.certificate)
    recorded = [_recorded(answer, algorithm, own, delegate, nonce) for answer, algorithm in said.answers]
    tbs = recorded[0] if len(recorded) == 1 else _joined(recorded)
    return _response(tbs, sign(tbs), said.responder)


def _recorded(
    answer: ocsp.OCSPResponse, algorithm: str, issuer: x509.Certificate, delegate: x509.Certificate, nonce: bytes
) -> bytes:
    """What the library would sign to say this answer again."""
    hash_type, digest = _HASHES[algorithm]
    spki = spki_of(issuer.public_key())  # type: ignore[arg-type]
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response_by_hash(
            digest(issuer.subject.public_bytes(), usedforsecurity=False).digest(),
            digest(key_bits(spki), usedforsecurity=False).digest(),
            answer.serial_number,
            hash_type(),
            answer.certificate_status,
            answer.this_update_utc,
            answer.next_update_utc,
            answer.revocation_time_utc,
            answer.revocation_reason,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, delegate)
    )
    if nonce:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    recorder = recording(delegate.public_key())  # type: ignore[arg-type]
    builder.sign(recorder, signature_hash(delegate.public_key()))  # type: ignore[arg-type]
    return recorder.tbs


def _joined(recorded: Sequence[bytes]) -> bytes:
    """ResponseData is responderID, producedAt, responses, extensions: the responses of all, the rest of the first."""
    who, produced, _, *extensions = der.children(recorded[0])
    singles = b"".join(der.content(list(der.children(one))[2]) for one in recorded)
    return der.tlv(der.SEQUENCE, b"".join((who, produced, der.tlv(der.SEQUENCE, singles), *extensions)))


def _response(tbs: bytes, signature: bytes, responder: Pinned) -> bytes:
    identifier = ALGORITHMS[responder.key.algorithm].identifier
    certificates = der.tlv(0xA0, der.tlv(der.SEQUENCE, responder.certificate))
    basic = der.tlv(der.SEQUENCE, tbs + identifier + der.bit_string(signature) + certificates)
    body = der.tlv(0xA0, der.tlv(der.SEQUENCE, _BASIC + der.tlv(der.OCTET_STRING, basic)))
    return der.tlv(der.SEQUENCE, der.tlv(der.ENUMERATED, b"\x00") + body)


def must_not_be_revoked(said: Said, revoked: Revoked) -> None:
    """Raises `SigningRefused` when one of the answers is good and this signer has said since that it is revoked."""
    for answer, _ in said.answers:
        good = answer.certificate_status is ocsp.OCSPCertStatus.GOOD
        if good and revoked.knows(said.responder.issuer, answer.serial_number):
            raise SigningRefused(
                f"{serial_hex(answer.serial_number)} is revoked since that answer was made.",
                next_step="Nothing was signed. Look for the newer answer.",
            )
