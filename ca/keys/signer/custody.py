"""Keeps the token open: opens it, notices when it is gone, opens it again when it is back, respects the PIN."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from threading import Condition, Event, Lock, Thread

import structlog

from ca.errors import CAError, HSMError, HSMUnavailable, KeyMismatch, PinRefused, PossiblySigned
from ca.keys.algorithms import ALGORITHMS, PublicKey, load_spki
from ca.keys.pin import RefusedPin
from ca.keys.ring import KeyState
from ca.keys.signer.calls import OPENING, SIGNING, Calls
from ca.keys.signer.pins import Pinned, Pins
from ca.keys.token import Token

log = structlog.get_logger()

PROBE_SECONDS = 1.0
LONGEST_BACKOFF = 3.0
_SHORTEST_PAUSE = 0.3
CANARY_SECONDS = 10.0
_FAULTS_SECONDS = 2.0
_OPENING_SECONDS = 3.0
_PATIENCE = 5.0
_CANARY = b"certwright canary "

# The same few keys are read for each signature.
public_key: Callable[[bytes], PublicKey] = lru_cache(maxsize=256)(load_spki)

_GONE = (KeyState.DESTROYED, KeyState.DESTROYED_COMPROMISED)


class Custody:
    """The token, or the reason why there is none. Thread-safe.

    `open_token(pin)` starts the module anew and logs in; `read_pin()` reads the PIN's source. A thread of
    its own probes the token each second, has it sign a canary with each key every `CANARY_SECONDS`, and opens it
    again, with pauses that grow to `LONGEST_BACKOFF`. Nobody gets a token whose canaries did not come out right.
    A PIN that the token refused is never tried again until it is another one or `unlock` is called.
    """

    def __init__(
        self, open_token: Callable[[str], Token], read_pin: Callable[[], str], refused: RefusedPin, pins: Pins
    ) -> None:
        self._open_token = open_token
        self._read_pin = read_pin
        self._refused = refused
        self._pins = pins
        self._token: Token | None = None
        self._why: CAError = HSMUnavailable("The token is not open yet.", next_step="Ask again in a moment.")
        self._faults: dict[str, HSMError] = {}
        self._users = 0
        self._opening = True
        self._opening_since = time.monotonic()
        self._reported = ""
        self._reopening = Lock()
        self._changed = Condition()
        self._wake = Event()
        self._stopping = Event()
        self._inspected_at = 0.0
        self._proved_at = 0.0
        self.calls = Calls()
        self._thread = Thread(target=self._watch, name="custody", daemon=True)

    def start(self) -> None:
        """Begins to open the token, or to learn why that fails, and to watch it."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the watch and logs out. Calls under way are waited for, for `_PATIENCE` seconds: one may hang."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(_PATIENCE)
        if not self._thread.is_alive():
            self._close(HSMUnavailable("The signer is stopping.", next_step="Ask again when it is back."))

    @contextmanager
    def token(self, seconds: float = SIGNING) -> Iterator[Token]:
        """The open token, which stays open for the body; one that is just being opened is waited for.

        The body may take `seconds` (see `ca.keys.signer.calls`). Raises the reason when there is no token.

        An error of the token wakes the watch, which looks whether the token must be opened again.
        """
        with self._changed:
            left = self._opening_since + _OPENING_SECONDS - time.monotonic()
            self._changed.wait_for(lambda: not self._opening, timeout=max(0.0, left))
            if self._token is None:
                raise _again(self._why)
            self._users += 1
            token = self._token
        try:
            with self.calls.under_way(seconds):
                yield token
        except HSMError:
            self._wake.set()
            raise
        finally:
            with self._changed:
                self._users -= 1
                self._changed.notify_all()

    def sound(self, key_id: str) -> None:
        """Raises the fault that was found with this key when the token was opened."""
        fault = self._faults.get(key_id)
        if fault:
            raise _again(fault)

    def fault(self) -> CAError | None:
        """Why the token cannot be used now; None when it can."""
        return None if self._token else self._why

    def faults(self) -> dict[str, str]:
        """The keys that cannot be used, with the reason."""
        return {key_id: fault.detail for key_id, fault in self._faults.items()}

    def info(self) -> str:
        """The token in words; empty when none is open."""
        token = self._token
        return str(token.info) if token else ""

    def software(self) -> bool:
        """Whether the open token is a program."""
        token = self._token
        return bool(token and token.info.software)

    def unlock(self) -> None:
        """Forgets that the PIN was refused and opens the token, at once. Raises the reason when that fails."""
        self._refused.forget()
        self._reopen()
        if self._token is None:
            raise _again(self._why)

    # --- the watch ---

    def _watch(self) -> None:
        self._reopen()
        pause, looked = PROBE_SECONDS, time.monotonic()
        while True:
            woken = self._wake.wait(pause)
            # However many errors wake it: a token in trouble is not worn out by looking at it.
            if self._stopping.wait(looked + _SHORTEST_PAUSE - time.monotonic()):
                return
            self._wake.clear()
            looked = time.monotonic()
            if self._token and self._still_there(thorough=woken):
                pause = PROBE_SECONDS
                continue
            self._reopen()
            pause = PROBE_SECONDS if self._usable() else min(LONGEST_BACKOFF, pause * 1.5)

    def _still_there(self, *, thorough: bool) -> bool:
        """A slot that answers is not enough: SoftHSM forgets the keys of a token that was away and came back."""
        usable, now = self._usable(), time.monotonic()
        if self._faults and not usable:
            return False
        try:
            with self.token(OPENING) as token:
                token.probe()
                if thorough or now - self._proved_at > CANARY_SECONDS:
                    self._prove(token, usable)
                for pinned in usable[:1]:
                    _compare(token, pinned)
                if self._faults and now - self._inspected_at > _FAULTS_SECONDS:
                    self._inspect_all(token)
        except CAError as error:
            log.warning("hsm.lost", detail=error.detail)
            return False
        return True

    def _usable(self) -> list[Pinned]:
        return [one for one in _live(self._pins) if self._token and one.key.id not in self._faults]

    def _prove(self, token: Token, keys: list[Pinned]) -> None:
        for pinned in keys:
            _inspect(token, pinned)
        self._proved_at = time.monotonic()

    def _reopen(self) -> None:
        with self._reopening:
            self._close(HSMUnavailable("The token is being opened again.", next_step="Ask again in a moment."))
            opened, why = None, self._why
            try:
                with self.calls.under_way(OPENING):
                    opened = self._opened()
            except CAError as error:
                self._report(error)
                why = error
            with self._changed:
                self._token, self._why, self._opening = opened, why, False
                self._changed.notify_all()

    def _opened(self) -> Token:
        pin = self._read_pin()
        self._refused.check(pin)
        token = self._login(pin)
        self._inspect_all(token)
        opened = f"{token.info} {sorted(self._faults)}"
        if opened != self._reported:
            self._reported = opened
            log.info("hsm.open", hsm=str(token.info), faults=sorted(self._faults))
        return token

    def _login(self, pin: str) -> Token:
        try:
            token = self._open_token(pin)
        except PinRefused:
            self._refused.remember(pin)
            raise
        self._refused.forget()
        return token

    def _close(self, why: CAError) -> None:
        """Takes the token away from newcomers, waits for those who use it, and closes it."""
        with self._changed:
            token, self._token, self._opening = self._token, None, not self._stopping.is_set()
            self._opening_since = time.monotonic()
            if token:
                self._why = why
            patience = _PATIENCE if self._stopping.is_set() else None
            unused = self._changed.wait_for(lambda: self._users == 0, timeout=patience)
        if token and unused:
            with self.calls.under_way(OPENING), suppress(HSMError):
                token.close()

    def _inspect_all(self, token: Token) -> None:
        faults: dict[str, HSMError] = {}
        for pinned in _live(self._pins):
            try:
                _inspect(token, pinned)
            except HSMError as error:
                faults[pinned.key.id] = error
                if pinned.key.id not in self._faults:
                    log.warning("key.unusable", key=pinned.key.id, detail=error.detail)
        self._faults, self._inspected_at = faults, time.monotonic()
        self._proved_at = self._inspected_at

    def _report(self, error: CAError) -> None:
        if error.detail != self._reported:
            self._reported = error.detail
            log.error("hsm.unavailable", code=error.code, detail=error.detail, next_step=error.next_step)


def _live(pins: Pins) -> tuple[Pinned, ...]:
    return tuple(one for one in pins.all() if KeyState(one.key.state) not in _GONE)


class WrongSignature(PossiblySigned):
    """The token made a signature that the pinned key does not verify."""


def signature_by(token: Token, pinned: Pinned, data: bytes) -> bytes:
    """A signature that verifies with the pinned key. Raises `WrongSignature`, and what `Token.sign` raises."""
    key = pinned.key
    signature = token.sign(pinned.cka_id, key.algorithm, data)
    if not ALGORITHMS[key.algorithm].verifies(public_key(key.spki), signature, data):
        raise WrongSignature(
            f"The token's signature with {key.id} does not verify with the key pinned at the ceremony.",
            next_step="Treat the serial as signed, stop issuing, and have the token examined.",
        )
    return signature


def _inspect(token: Token, pinned: Pinned) -> None:
    """Raises an `HSMError` unless the token holds the very key that was pinned and signs a canary with it, rightly.

    The canary is no DER, so that its signature is good for nothing else.
    """
    _compare(token, pinned)
    try:
        signature_by(token, pinned, _CANARY + secrets.token_bytes(16))
    except WrongSignature as error:
        raise KeyMismatch(error.detail, next_step="Have the token examined: see docs/runbooks/hsm.md.") from error
    except PossiblySigned as error:
        raise HSMUnavailable(error.detail, next_step="See docs/runbooks/hsm.md, 'The token fails'.") from error


def _compare(token: Token, pinned: Pinned) -> None:
    """Raises `KeyMismatch` unless the token holds the very key that was pinned, with its attributes."""
    if token.describe(pinned.cka_id, pinned.key.algorithm).spki != pinned.key.spki:
        raise KeyMismatch(
            f"The token holds another key under the CKA_ID of {pinned.key.id}.",
            next_step="Put the token back that held it at the ceremony.",
        )


def _again(error: CAError) -> CAError:
    """A fresh error of the same class: a raised one carries the traceback of its thread."""
    return type(error)(error.detail, next_step=error.next_step)
