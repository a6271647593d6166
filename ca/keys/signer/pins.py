"""What the signer pinned about its keys at the ceremony: its own file, `keys.json` in `signer.state_dir`.

The file is replaced whole and durably at each change. It stands outside the database on purpose: who can
write there cannot change which key a signature is verified with.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from threading import Lock

import msgspec

from ca.errors import ConfigError, Conflict, HSMError, NotFound
from ca.keys.files import write_durably
from ca.keys.ring import KeyState
from ca.keys.signer.rules import KeyFacts
from ca.records import Key

_FORMAT = 1


class Pinned(msgspec.Struct, frozen=True):
    """One key: what everyone may know, its CKA_ID, the certificate that certifies it, and who issued that.

    `issuer` is the key id of the issuing key, for responders alone. `longest_life` bounds, in seconds, what an
    issuing key certifies.
    """

    key: Key
    cka_id: bytes
    certificate: bytes = b""
    issuer: str = ""
    longest_life: int = 0

    def facts(self) -> KeyFacts:
        """What the rules look at."""
        key = self.key
        state = KeyState(key.state)
        return KeyFacts(key.id, key.purpose, key.algorithm, key.spki, state, self.certificate, self.longest_life)

    def in_state(self, state: KeyState) -> "Pinned":
        """The same key in another state."""
        return msgspec.structs.replace(self, key=replace(self.key, state=state.value))


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    keys: tuple[Pinned, ...]
    demo: bool = False


class Pins:
    """The pinned keys by id, in the order of their making. Thread-safe; what it answers is on disk."""

    def __init__(self, path: Path, *, demo: bool = False) -> None:
        """Reads the file; no file means no keys yet. `demo`: this is one, and what it pins stays one for good.

        Raises `HSMError` when the file is damaged, `ConfigError` when it is a demo's and this is none.
        """
        self._path = path
        self._demo = demo
        self._lock = Lock()
        self._keys: Mapping[str, Pinned] = {one.key.id: one for one in _read(path, demo)}

    def all(self) -> tuple[Pinned, ...]:
        """Every key, also those that were destroyed."""
        return tuple(self._keys.values())

    def get(self, key_id: str) -> Pinned:
        """Raises `NotFound`."""
        if key_id not in self._keys:
            raise NotFound(f"The signer has no key {key_id}.", next_step="See 'certwright key list'.")
        return self._keys[key_id]

    def add(self, pinned: Pinned) -> None:
        """Pins a new key. Raises `Conflict`: an id is never used again."""
        with self._lock:
            if pinned.key.id in self._keys:
                raise Conflict(f"The key id {pinned.key.id} is taken for good.", next_step="Use the next generation.")
            self._store(pinned)

    def change(self, pinned: Pinned) -> None:
        """Replaces what is pinned about a key that is there."""
        with self._lock:
            self.get(pinned.key.id)
            self._store(pinned)

    def _store(self, pinned: Pinned) -> None:
        keys = {**self._keys, pinned.key.id: pinned}
        try:
            write_durably(self._path, msgspec.json.encode(_File(_FORMAT, tuple(keys.values()), self._demo)))
        except OSError as error:
            raise HSMError(
                f"The signer cannot write {self._path}: {error.strerror}.", next_step="Check space, owner and mode."
            ) from error
        self._keys = keys


def _read(path: Path, demo: bool) -> tuple[Pinned, ...]:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_File)
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.DecodeError) as error:
        raise HSMError(
            f"The signer's pins in {path} cannot be read: {error}.",
            next_step="Restore the file from the backup of signer.state_dir; it is written at ceremonies only.",
        ) from error
    if found.format != _FORMAT:
        raise HSMError(f"{path} has format {found.format}.", next_step="Run the release that wrote it, or a newer one.")
    if found.demo and not demo:
        raise ConfigError(
            f"The keys in {path} were made by a demo, and a demo's keys never come into production.",
            next_step="Begin anew: another signer.state_dir, another token, and 'certwright ca init'.",
        )
    return found.keys
