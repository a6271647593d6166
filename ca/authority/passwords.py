"""Passwords with one-time passwords: argon2id (RFC 9106), and TOTP (RFC 6238) with a secret sealed under the password.

A copy of the database therefore opens nothing: the secret of the second factor is readable only with the first.
"""

import base64
import binascii
import secrets
from functools import lru_cache

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor import InvalidToken
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from ca.authority.desk import Desk
from ca.errors import BadRequest, Unauthenticated
from ca.people import Person

SHORTEST, LONGEST = 12, 128
"""Characters of a password."""

STEP = 30
"""Seconds of a one-time password; the one before and the one after are taken too, for clocks that differ."""

_SALT, _NONCE, _SECRET = 16, 12, 20
_TIME, _MEMORY, _LANES = 1, 46 * 1024, 1
"""Cost of hash and seal alike (OWASP's first choice): some 50 ms for us, and for whoever guesses."""

_HASHER = PasswordHasher(_TIME, _MEMORY, _LANES)


def new_secret() -> str:
    """A fresh TOTP secret, in the base32 that authenticator apps read."""
    return base64.b32encode(secrets.token_bytes(_SECRET)).decode()


def provisioning_uri(secret: str, person: str, issuer: str) -> str:
    """The otpauth: URI of a secret. Raises `BadRequest` for what is no secret."""
    return _totp(_decoded(secret)).get_provisioning_uri(person, issuer)


def enrol(desk: Desk, person: Person, password: str, secret: str, code: str) -> None:
    """Stores both, in the open transaction. Raises `BadRequest` for a weak password or a wrong code."""
    _check_strength(person.id, password)
    raw = _decoded(secret)
    if not _step_of(raw, code, desk.clock(), 0):
        raise BadRequest(
            "That code does not belong to this secret now.",
            next_step="Check the clock of the device, and type the code that it shows.",
        )
    desk.store.set_password(person.id, _HASHER.hash(password), _seal(person.id, password, raw))


def check(desk: Desk, person: Person, password: str, code: str) -> None:
    """Returns when both are right, and uses the code up. Raises `Unauthenticated`, as slowly for nobody's account."""
    raw = _opened(person, password)
    step = _step_of(raw, code, desk.clock(), person.totp_step) if raw else 0
    if not step or not desk.store.use_totp_step(person.id, step):
        raise Unauthenticated(
            "The name, the password or the code is wrong.",
            next_step="Try again with a new code, or ask an administrator for a sign-in link.",
        )


def nobody(name: str) -> Person:
    """A person with a password that nobody knows: checking it costs what checking a real one costs."""
    return Person(name, (), password=_decoy()[0], totp=_decoy()[1])


@lru_cache(maxsize=1)
def _decoy() -> tuple[str, bytes]:
    unknown = secrets.token_urlsafe(32)
    return _HASHER.hash(unknown), _seal("", unknown, secrets.token_bytes(_SECRET))


def _opened(person: Person, password: str) -> bytes:
    """The TOTP secret, or nothing. The password's hash and the seal are both computed, whatever is wrong."""
    secret = _unseal(person, password[:LONGEST])
    try:
        _HASHER.verify(person.password, password[:LONGEST])
    except (VerificationError, InvalidHashError):
        return b""
    return secret


def _check_strength(name: str, password: str) -> None:
    if not SHORTEST <= len(password) <= LONGEST or name.lower() in password.lower() or len(set(password)) < 5:
        raise BadRequest(
            f"A password has {SHORTEST} to {LONGEST} characters, not the name among them, nor the same few repeated.",
            next_step="Take four words that do not belong together, or let a password safe choose.",
        )


# --- one-time passwords -------------------------------------------------------------------------


def _decoded(secret: str) -> bytes:
    try:
        raw = base64.b32decode(secret)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _SECRET:
        raise BadRequest("That is no secret of this form.", next_step="Open the page again.")
    return raw


def _totp(secret: bytes) -> TOTP:
    return TOTP(secret, 6, SHA1(), STEP)  # noqa: S303 - what authenticator apps know


def _step_of(secret: bytes, code: str, now: int, last: int) -> int:
    """The step whose code that is, among those around now and after `last`; 0 if none."""
    given = "".join(code.split()).encode()
    for step in range(now // STEP - 1, now // STEP + 2):
        try:
            _totp(secret).verify(given, step * STEP)
        except InvalidToken:
            continue
        return step if step > last else 0
    return 0


# --- the seal -----------------------------------------------------------------------------------


def _key(password: str, salt: bytes) -> bytes:
    return hash_secret_raw(password.encode(), salt, _TIME, _MEMORY, _LANES, 32, Type.ID)


def _seal(name: str, password: str, secret: bytes) -> bytes:
    salt, nonce = secrets.token_bytes(_SALT), secrets.token_bytes(_NONCE)
    return salt + nonce + ChaCha20Poly1305(_key(password, salt)).encrypt(nonce, secret, name.encode())


def _unseal(person: Person, password: str) -> bytes:
    sealed = person.totp or _decoy()[1]
    salt, nonce, text = sealed[:_SALT], sealed[_SALT : _SALT + _NONCE], sealed[_SALT + _NONCE :]
    try:
        return ChaCha20Poly1305(_key(password, salt)).decrypt(nonce, text, person.id.encode())
    except InvalidTag:
        return b""
