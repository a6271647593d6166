"""HMAC keys in the database are wrapped by a key beside it: a copy of the database alone binds nobody.

The wrapping key is a file (`acme.eab_key_file`, 32 random octets, 0600), made with the first credential. From it and
a credential's id comes that credential's own key (HKDF-SHA256), by which its HMAC key is sealed (AES-256-GCM). Nodes
that share a database share the file. Whoever loses it makes new credentials; accounts that are bound stay bound.
"""

import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ca.errors import ConfigError, Unavailable

_KEY = 32
_NONCE = 12


class WrappingKey:
    """The wrapping key in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def wrap(self, credential_id: str, key: bytes) -> bytes:
        """The key, sealed for this credential; makes the file if there is none.

        Raises `ConfigError` where there can be none, and `Unavailable` as `unwrap` does.
        """
        self._make()
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._sealing(credential_id).encrypt(nonce, key, credential_id.encode())

    def unwrap(self, credential_id: str, wrapped: bytes) -> bytes:
        """The key of this credential. Raises `Unavailable` without the file, or with that of another database."""
        try:
            return self._sealing(credential_id).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], credential_id.encode())
        except InvalidTag:
            raise Unavailable(
                f"The credential {credential_id} was not wrapped by the key in {self._path}.",
                next_step="Bring back the file that belongs to this database, or make a new credential.",
            ) from None

    def _sealing(self, credential_id: str) -> AESGCM:
        derived = HKDF(SHA256(), _KEY, salt=credential_id.encode(), info=b"certwright eab hmac v1").derive(self._read())
        return AESGCM(derived)

    def _read(self) -> bytes:
        try:
            mode, key = self._path.stat().st_mode, self._path.read_bytes()
        except OSError as error:
            raise Unavailable(f"{self._path} cannot be read: {error.strerror}.", next_step=_ADVICE) from None
        if mode & 0o077 or len(key) != _KEY:
            raise Unavailable(f"{self._path} is open to others, or no key of {_KEY} octets.", next_step=_ADVICE)
        return key

    def _make(self) -> None:
        """Of two at once one makes it: the draft is whole before it has the name, and never takes the place of one."""
        if self._path.exists():
            return
        draft = self._path.with_name(f".{self._path.name}.{secrets.token_hex(8)}")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(secrets.token_bytes(_KEY))
                file.flush()
                os.fsync(file.fileno())
            self._give(draft)
            self._take(draft)
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be made: {error.strerror}.", next_step=_ADVICE) from None

    def _give(self, draft: Path) -> None:
        """Made by root, it belongs to whoever owns its folder: the web processes read it (`ca.places`)."""
        if os.geteuid() == 0:
            folder = self._path.parent.stat()
            os.chown(draft, folder.st_uid, folder.st_gid)

    def _take(self, draft: Path) -> None:
        try:
            os.link(draft, self._path)
        except FileExistsError:
            return
        finally:
            draft.unlink()


_ADVICE = "Check acme.eab_key_file, its owner and its mode (0600)."
