"""The signer's desk: one method an operation, from a request that was read to an answer.

Nothing here reads sockets or knows PINs. Each method may be called from any thread.
"""

import os
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock
from typing import Any

import msgspec
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.errors import BadRequest, Conflict, HSMBusy, KeyMismatch, SigningRefused
from ca.keys import wire
from ca.keys.algorithms import load_spki, spki_of
from ca.keys.handles import private_key_over
from ca.keys.ledger import RESPONDER
from ca.keys.ring import KeyState, advance
from ca.keys.signer import freshen, responder, rules
from ca.keys.signer.book import Book, Deed
from ca.keys.signer.calls import GENERATING
from ca.keys.signer.custody import Custody, WrongSignature, public_key, signature_by
from ca.keys.signer.lanes import LANES, Lane, Lanes
from ca.keys.signer.peers import Grant, permit
from ca.keys.signer.pins import Pinned, Pins
from ca.keys.signer.rates import Rate, Rates
from ca.keys.signer.timings import Timings
from ca.keys.signer.wallclock import Guard
from ca.keys.token import Token, TokenKey
from ca.records import Key, KeyPurpose, Responder, SignKind, serial_hex

log = structlog.get_logger()

_KEY_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_CLIENTS_MAY_GENERATE = (KeyPurpose.ISSUING, KeyPurpose.JOURNAL)


@dataclass(frozen=True, slots=True)
class Limits:
    """`seconds`: the longest that one call may wait for its turn; `responder_days`: life of a responder.

    `longest_life`, in seconds, is pinned with an issuing key when it is certified, and holds for one that has none.
    """

    seconds: float
    responder_days: int
    longest_life: int
    rates: Mapping[SignKind, Rate]


class Desk:
    """Answers requests. `answer` is the only door."""

    def __init__(self, custody: Custody, pins: Pins, lanes: Lanes, book: Book, limits: Limits, guard: Guard) -> None:
        self._custody = custody
        self._pins = pins
        self._lanes = lanes
        self._book = book
        self._limits = limits
        self._guard = guard
        self._clock = guard.now
        self._rates = Rates(limits.rates, guard.now)
        self._signed: Counter[str] = Counter()
        self._revoked = freshen.Revoked()
        self._waits, self._calls = Timings(), Timings()
        self._making = Lock()
        self._reading = Lock()

    def answer(self, grant: Grant, request: wire.Requests) -> wire.Answers:
        """Carries out what the peer may ask for. Raises `CAError`."""
        permit(grant, request)
        if isinstance(request, wire.Sign):
            return self.sign(grant.uid, request)
        if isinstance(request, wire.Freshen):
            return self.freshen(grant.uid, request)
        if isinstance(request, wire.AcceptClock):
            return self.accept_clock(grant, request)
        return _OPERATIONS[type(request)](self, request)

    # --- signing ---

    def sign(self, peer: int, request: wire.Sign) -> wire.Signature:
        """Rules, rates, turn, signature, verification, ledger: in this order; nothing leaves before the last."""
        pinned = self._pins.get(request.key)
        self._custody.sound(request.key)
        seen = rules.permit(request.kind, request.tbs, self._facts(pinned), self._time_of(request.kind))
        self._rates.spend(peer, request.key, request.kind)
        deed = Deed(request.key, request.kind.value, peer, request.tbs, seen)
        patience = self._patience(request)
        until = time.monotonic() + patience
        # Left from right to left: the turn at the token ends before the wait for the disk begins.
        entered = self._book.entered(deed, patience)
        with entered, self._turn(LANES[request.kind], request), self._custody.token(self._limits.seconds) as token:
            self._waits.add(LANES[request.kind].value, time.monotonic() - until + patience)
            _must_be_in_time(until)
            with self._calls.timing(request.kind.value):
                signature = self._verified(token, pinned, request.tbs)
        self._signed[request.kind.value] += 1
        if request.kind is SignKind.OCSP and seen.number:
            self._revoked.note(pinned.issuer, seen.number, bool(seen.mark))
        return wire.Signature(request.id, signature)

    def freshen(self, peer: int, request: wire.Freshen) -> wire.Said:
        """Published answers, said again for one asker. Whoever asks chooses nothing but nonce and hash."""
        said = freshen.read(self._pins, request.published, request.algorithms, self._guard.latest())
        freshen.must_not_be_revoked(said, self._revoked)
        key = said.responder.key.id

        def sign(tbs: bytes) -> bytes:
            return self.sign(peer, wire.Sign(request.id, request.seconds, key, SignKind.OCSP, tbs)).signature

        issuer = self._pins.get(said.responder.issuer)
        return wire.Said(request.id, freshen.say_again(said, issuer, request.nonce, sign))

    def _time_of(self, kind: SignKind) -> int:
        """The time that a TBS is held against; answers go on from the latest, as CRLs do by their number (INC-02)."""
        return self._guard.latest() if kind is SignKind.OCSP else self._clock()

    def _facts(self, pinned: Pinned) -> rules.KeyFacts:
        facts = pinned.facts()
        return facts if facts.longest_life else replace(facts, longest_life=self._limits.longest_life)

    def _verified(self, token: Token, pinned: Pinned, tbs: bytes) -> bytes:
        """A signature that verifies with the pinned key. Raises `PossiblySigned` for one that does not."""
        self._custody.sound(pinned.key.id)
        try:
            return signature_by(token, pinned, tbs)
        except WrongSignature:
            log.critical("signature.wrong", key=pinned.key.id)
            raise

    def _turn(self, lane: Lane, request: wire.Requests) -> AbstractContextManager[None]:
        return self._lanes.turn(lane, self._patience(request))

    def _patience(self, request: wire.Request) -> float:
        return min(request.seconds, self._limits.seconds)

    # --- ceremony ---

    def generate(self, request: wire.Generate) -> wire.OneKey:
        """A key for a ceremony. Responders are made by `renew_responder` alone, roots never here."""
        if request.purpose not in _CLIENTS_MAY_GENERATE:
            raise SigningRefused(f"The signer makes no key for {request.purpose} at a client's wish.")
        if not _KEY_ID.fullmatch(request.key):
            raise BadRequest("A key id has 1 to 63 of a-z, 0-9 and '-'.", next_step="Take a name like issuing-g1.")
        state = KeyState.PRE_ACTIVE if request.purpose is KeyPurpose.ISSUING else KeyState.ACTIVE
        with self._making, self._turn(Lane.ISSUANCE, request), self._custody.token(GENERATING) as token:
            self._must_be_new(request.key)
            made = token.generate(request.key, secrets.token_bytes(16), request.algorithm)
            pinned = Pinned(self._key(request.key, request.purpose, made, token, state), made.key_id)
            self._confirm(token, pinned)
            self._pins.add(pinned)
        log.info("key.generated", key=request.key, algorithm=request.algorithm)
        return wire.OneKey(request.id, pinned.key)

    def _must_be_new(self, key_id: str) -> None:
        if any(one.key.id == key_id for one in self._pins.all()):
            raise Conflict(f"The key id {key_id} is taken for good.", next_step="Use the next generation.")

    def _key(self, key_id: str, purpose: KeyPurpose, made: TokenKey, token: Token, state: KeyState) -> Key:
        return Key(
            id=key_id,
            purpose=purpose,
            algorithm=made.algorithm,
            spki=made.spki,
            state=state.value,
            software=token.info.software,
            attributes=made.attributes,
            created_at=self._clock(),
        )

    def _confirm(self, token: Token, pinned: Pinned) -> None:
        """A test signature shows that the private key belongs to the public one (KC-08)."""
        self._verified(token, pinned, b"certwright key confirmation " + secrets.token_bytes(16))

    def certify(self, request: wire.Certify) -> wire.Done:
        """Pins the certificate of an issuing key: from now on it signs under that name."""
        with self._making:
            pinned = self._pins.get(request.key)
            if pinned.certificate != request.certificate:
                _must_certify(request.certificate, pinned)
                longest = self._limits.longest_life
                certified = msgspec.structs.replace(pinned, certificate=request.certificate, longest_life=longest)
                self._pins.change(certified.in_state(advance(KeyState(pinned.key.state), KeyState.ACTIVE)))
                log.info("key.certified", key=request.key)
        return wire.Done(request.id)

    def deactivate(self, request: wire.Deactivate) -> wire.Done:
        """For good: an issuing key signs CRLs alone from now on, a journal's key nothing. Again is no error.

        The responder of an issuing key goes on being renewed: what it certified wants answers.
        """
        with self._making:
            pinned = self._pins.get(request.key)
            if pinned.key.purpose not in _CLIENTS_MAY_GENERATE:
                raise SigningRefused(f"The signer itself decides when a key for {pinned.key.purpose} ends.")
            if pinned.key.state != KeyState.DEACTIVATED:
                self._pins.change(pinned.in_state(advance(KeyState(pinned.key.state), KeyState.DEACTIVATED)))
                log.info("key.deactivated", key=request.key)
        return wire.Done(request.id)

    # --- responders ---

    def renew_responder(self, request: wire.RenewResponder) -> wire.NewResponder:
        """A new responder key and its certificate; today's again, while that one is usable."""
        with self._making:
            issuer = self._pins.get(request.issuer)
            own = rules.own_certificate(issuer.facts())
            current = self._current_responder(request.issuer)
            if current is None:
                with self._turn(Lane.ISSUANCE, request), self._custody.token(GENERATING) as token:
                    current = self._make_responder(token, issuer, own)
                    self._retire_expired(token, request.issuer)
        return wire.NewResponder(request.id, _responder(current))

    def _current_responder(self, issuer: str) -> Pinned | None:
        """The newest responder when it was made within the last day and can still be used."""
        newest = [one for one in self._pins.all() if one.issuer == issuer][-1:]
        for one in newest:
            young = self._clock() - one.key.created_at < responder.DAY
            if young and _ends(one) > self._clock() and one.key.id not in self._custody.faults():
                return one
        return None

    def _make_responder(self, token: Token, issuer: Pinned, own: x509.Certificate) -> Pinned:
        life = responder.plan_life(own, self._clock(), self._limits.responder_days)
        number = 1 + sum(one.issuer == issuer.key.id for one in self._pins.all())
        key_id = f"{issuer.key.id}-ocsp-{number}"
        made = token.generate(key_id, secrets.token_bytes(16), issuer.key.algorithm)
        serial = responder.serial(secrets.token_bytes(16))
        issuer_key = private_key_over(public_key(issuer.key.spki), partial(self._delegated, token, issuer, serial))
        certificate = responder.build(own, issuer_key, load_spki(made.spki), life, serial)
        key = self._key(key_id, KeyPurpose.RESPONDER, made, token, KeyState.ACTIVE)
        pinned = Pinned(key, made.key_id, certificate.public_bytes(Encoding.DER), issuer.key.id)
        self._confirm(token, pinned)
        self._pins.add(pinned)
        log.info("responder.renewed", key=key_id, issuer=issuer.key.id)
        return pinned

    def _delegated(self, token: Token, issuer: Pinned, serial: int, tbs: bytes) -> bytes:
        """The issuing key's signature over a responder's certificate, entered as the signer's own deed."""
        deed = Deed(issuer.key.id, RESPONDER, os.getuid(), tbs, rules.Seen(serial_hex(serial)))
        with self._book.entered(deed, self._limits.seconds):
            return self._verified(token, issuer, tbs)

    def _retire_expired(self, token: Token, issuer: str) -> None:
        """Destroys the keys of responders whose certificate has ended: nothing they signed is current (KC-09)."""
        for one in self._pins.all():
            if one.issuer == issuer and one.key.state == KeyState.ACTIVE and _ends(one) < self._clock():
                token.destroy(one.cka_id)
                self._pins.change(one.in_state(advance(KeyState.ACTIVE, KeyState.DESTROYED)))
                log.info("key.destroyed", key=one.key.id)

    # --- looking ---

    def keys(self, request: wire.Keys) -> wire.AllKeys:
        """Every pinned key."""
        return wire.AllKeys(request.id, tuple(one.key for one in self._pins.all()))

    def last_crl(self, request: wire.LastCrl) -> wire.CrlSigned:
        """The newest CRL of a scope, for whoever must number the next one after the records were set back."""
        highest = self._book.highest(request.key, SignKind.CRL, request.scope)
        return wire.CrlSigned(request.id, highest.number, highest.this_update)

    def ledger(self, request: wire.ReadLedger) -> wire.LedgerPage:
        """A page of the ledger, one reader at a time: it is the whole story, and none of a signature's business."""
        if not self._reading.acquire(blocking=False):
            raise HSMBusy("Somebody else is reading the ledger.", next_step="Ask again in a moment.")
        try:
            return wire.LedgerPage(request.id, self._book.page(request.after))
        finally:
            self._reading.release()

    def health(self, request: wire.Health) -> wire.HealthReport:
        """How the signer is; it answers whatever is missing."""
        return wire.HealthReport(request.id, self.state())

    def state(self) -> wire.SignerHealth:
        """The health, as a value."""
        why, faults = self._custody.fault(), self._custody.faults()
        problems = [str(why)] if why else [f"{key}: {detail}" for key, detail in faults.items()]
        clock = self._guard.fault()
        problems += [str(one) for one in (self._book.fault(), clock) if one]
        if seconds := self._custody.calls.slow():
            problems.append(f"A call into the token has been running for {seconds:.0f} s.")
        return wire.SignerHealth(
            ok=not problems,
            detail=" ".join(problems) or "The token is open, every key is as pinned, and the ledger is whole.",
            token=self._custody.info(),
            software=self._custody.software(),
            pin_refused=bool(why and why.code == "pin-refused"),
            keys=len(self._pins.all()),
            faults=faults,
            waiting=self._lanes.waiting(),
            signed=dict(self._signed),
            longest=self._custody.calls.longest(),
            waits=self._waits.summary(),
            calls=self._calls.summary(),
            clock=str(clock or ""),
            journal=self._book.journal(),
        )

    def unlock(self, request: wire.Unlock) -> wire.Done:
        """An operator's word that the PIN may be tried once more."""
        self._custody.unlock()
        return wire.Done(request.id)

    def accept_clock(self, grant: Grant, request: wire.AcceptClock) -> wire.Done:
        """An operator's word that the wall clock is right as it is now."""
        self._guard.accept(grant.uid)
        return wire.Done(request.id)


_OPERATIONS: Mapping[type[wire.Request], Callable[[Desk, Any], wire.Answers]] = {
    wire.Generate: Desk.generate,
    wire.Certify: Desk.certify,
    wire.Deactivate: Desk.deactivate,
    wire.RenewResponder: Desk.renew_responder,
    wire.Keys: Desk.keys,
    wire.LastCrl: Desk.last_crl,
    wire.ReadLedger: Desk.ledger,
    wire.Health: Desk.health,
    wire.Unlock: Desk.unlock,
}


def _must_be_in_time(until: float) -> None:
    """Raises when the asker's time is over: he counts the signature as possibly made, and must not be right."""
    if time.monotonic() > until:
        raise HSMBusy("The turn came after the asker's time.", next_step="Nothing was signed; ask again in a moment.")


def _ends(one: Pinned) -> int:
    return int(rules.load_certificate(one.certificate).not_valid_after_utc.timestamp())


def _responder(one: Pinned) -> Responder:
    begins = int(rules.load_certificate(one.certificate).not_valid_before_utc.timestamp())
    return Responder(one.issuer, one.key.id, one.certificate, begins, _ends(one))


def _must_certify(certificate: bytes, pinned: Pinned) -> None:
    """Raises unless this is the first certificate of the issuing key, a CA's, and for this very key."""
    if pinned.key.purpose is not KeyPurpose.ISSUING or pinned.certificate:
        raise Conflict(
            f"The key {pinned.key.id} takes no certificate" + (": it has one." if pinned.certificate else "."),
            next_step="A generation is certified once; make the next generation.",
        )
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        authority = parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        rules.own_key_identifier(parsed)
    except (ValueError, x509.ExtensionNotFound) as error:
        raise BadRequest(f"This is no certificate of a CA: {error}.") from None
    if not authority or not parsed.subject.rdns:
        raise BadRequest("This is no certificate of a CA.", next_step="Hand over the one that the ceremony made.")
    if spki_of(parsed.public_key()) != pinned.key.spki:  # type: ignore[arg-type]
        raise KeyMismatch(f"The certificate is for another key than {pinned.key.id}.")
