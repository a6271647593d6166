"""Where a PIN comes from, and the memory that keeps a refused one from being tried again.

A token counts wrong PINs and locks. So a refused PIN is remembered, as a salted scrypt hash in a file, over
restarts: a supervisor that starts the signer again and again cannot use up the tries. Another PIN is tried.
"""

import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path

import msgspec

from ca.errors import ConfigError, HSMUnavailable, PinRefused
from ca.keys.files import write_durably

_BY_ACL = 0o037
"""What a credential must not allow: systemd lets the unit's user read by an ACL, which shows as the group's r."""


def read_pin(source: str, folder: Path) -> str:
    """The PIN of `file:PATH` (relative to `folder`), `env:NAME` or `credential:NAME` (systemd).

    Raises `ConfigError` for an unknown kind of source, `HSMUnavailable` when there is no PIN to be had or
    when others could read its file.
    """
    kind, _, value = source.partition(":")
    if kind == "env":
        pin = os.environ.get(value, "")
    elif kind == "file":
        pin = _read(folder / value)
    elif kind == "credential":
        pin = _read(Path(os.environ.get("CREDENTIALS_DIRECTORY", "/run/credentials/none")) / value, _BY_ACL)
    else:
        raise ConfigError(
            f"hsm.pin_source '{kind}:…' is no source.", next_step="Use file:PATH, env:NAME or credential:NAME."
        )
    if not pin:
        raise HSMUnavailable(f"There is no PIN in {kind}:{value}.", next_step="Put the token's PIN there.")
    return pin


def _read(path: Path, forbidden: int = 0o077) -> str:
    try:
        if stat.S_IMODE(path.stat().st_mode) & forbidden:
            raise HSMUnavailable(f"Others can read the PIN in {path}.", next_step=f"Run: chmod 600 {path}")
        return path.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise HSMUnavailable(
            f"The PIN in {path} cannot be read: {error}.", next_step="Check hsm.pin_source, owner and mode."
        ) from None


class _Refusal(msgspec.Struct, frozen=True):
    """The file: scrypt parameters are fixed by the code."""

    salt: bytes
    hash: bytes


class RefusedPin:
    """Remembers, in one file, the PIN that the token refused."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, bool] = {}

    def check(self, pin: str) -> None:
        """Raises `PinRefused` when this PIN was refused before."""
        if pin not in self._known:
            self._known = {pin: self._is_remembered(pin)}
        if self._known[pin]:
            raise PinRefused(
                "The token refused this PIN before, and it is not tried again.",
                next_step="Correct the PIN where hsm.pin_source points, or run 'certwright key unlock'.",
            )

    def remember(self, pin: str) -> None:
        """From now on, also after a restart, this PIN is not tried."""
        self._known = {pin: True}
        salt = secrets.token_bytes(16)
        write_durably(self._path, msgspec.json.encode(_Refusal(salt, _hash(pin, salt))))

    def forget(self) -> None:
        """The PIN was accepted, or an operator wants it tried once more."""
        self._known.clear()
        self._path.unlink(missing_ok=True)

    def _is_remembered(self, pin: str) -> bool:
        try:
            refusal = msgspec.json.decode(self._path.read_bytes(), type=_Refusal)
        except FileNotFoundError:
            return False
        except msgspec.DecodeError:
            # Unreadable, so it cannot say which PIN it was: an operator decides.
            return True
        return hmac.compare_digest(refusal.hash, _hash(pin, refusal.salt))


def _hash(pin: str, salt: bytes) -> bytes:
    """Slow, since a PIN has few digits."""
    return hashlib.scrypt(pin.encode(), salt=salt, n=2**14, r=8, p=1)
