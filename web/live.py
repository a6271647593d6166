"""Answers that are signed while their asker waits: with a nonce, under SHA-256, or about several certificates at once.

The signer says again what is published and nothing else (`ca.keys.signer.freshen`). What that may cost is bounded: so
many a second, so many at a time, and not long; whoever gets none has the published answer.
"""

import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from ca.errors import CAError, HSMBusy, Unavailable
from ca.keys.client import SignerClient

SECONDS = 2.0
"""The longest that an asker waits for the signer."""

THREADS = 4
"""How many wait at a time."""

KEPT = 8192
"""Answers without a nonce that are kept as long as the published one is the same."""


class Live:
    """The signer, as a status process may use it: at most `per_second` answers. Thread-safe."""

    def __init__(self, socket: Path, per_second: int) -> None:
        self._signer = SignerClient(socket, timeout=SECONDS, places=THREADS)
        self._per_second = per_second
        self._tokens = float(per_second)
        self._filled = time.monotonic()
        self._kept: OrderedDict[tuple[tuple[bytes, str], ...], bytes] = OrderedDict()
        self._lock = Lock()

    def answer(self, published: Sequence[bytes], algorithms: Sequence[str], nonce: bytes) -> bytes:
        """The response over these published answers. Raises `Unavailable` when the budget is spent, or no signer is
        within reach, or it does not say them again."""
        key = tuple(zip(published, algorithms, strict=True))
        with self._lock:
            kept = None if nonce else self._kept.get(key)
        if kept is not None:
            return kept
        self._spend()
        try:
            made = self._signer.freshen(tuple(published), tuple(algorithms), nonce)
        except CAError as error:
            raise Unavailable(error.detail) from error
        if not nonce:
            self._keep(key, made)
        return made

    def _keep(self, key: tuple[tuple[bytes, str], ...], made: bytes) -> None:
        with self._lock:
            self._kept[key] = made
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)

    def _spend(self) -> None:
        with self._lock:
            now = time.monotonic()
            gained = (now - self._filled) * self._per_second
            self._tokens, self._filled = min(float(self._per_second), self._tokens + gained), now
            if self._tokens < 1:
                raise HSMBusy("Enough answers were signed live in this second.")
            self._tokens -= 1
