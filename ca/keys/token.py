"""A token: keys are generated in it, never leave it, and sign there. In this process, through PKCS#11.

    token = Token.open(module, label, pin, environment={"SOFTHSM2_CONF": ...})
    key = token.generate("issuing-g1", secrets.token_bytes(16), "ec-p256")
    signature = token.sign(key.key_id, key.algorithm, tbs)

Only the signer process and ceremonies do this; everyone else asks the signer (`ca.keys.client`).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from threading import BoundedSemaphore, Lock
from typing import Any

from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11 import exceptions as p11

from ca.errors import BadRequest, Conflict, HSMBusy, HSMError, HSMUnavailable, KeyMismatch, PossiblySigned
from ca.keys.algorithms import ALGORITHMS, Algorithm, PrivateKey, load_spki, spki_of
from ca.keys.handles import private_key_over
from ca.keys.module import Module, TokenInfo, cause, hsm_errors, token_info
from ca.keys.softhsm import provision_softhsm

__all__ = ["DEMANDED", "Token", "TokenInfo", "TokenKey", "provision_softhsm", "token_private_key"]

DEMANDED: Mapping[str, bool] = {
    "SENSITIVE": True,
    "ALWAYS_SENSITIVE": True,
    "EXTRACTABLE": False,
    "NEVER_EXTRACTABLE": True,
    "LOCAL": True,
    "PRIVATE": True,
    "TOKEN": True,
    "SIGN": True,
}
"""What the private key must answer when its attributes are read back (KC-02)."""

NOT_KEPT: Mapping[str, frozenset[str]] = {"NSS 3": frozenset({"LOCAL"})}
"""Attributes that a model of token does not keep, so that it cannot answer them. NSS says LOCAL of no key at all; it
says ALWAYS_SENSITIVE and NEVER_EXTRACTABLE of those alone that were made in it, which shows the same."""

_PRIVATE_TEMPLATE = {
    Attribute.TOKEN: True,
    Attribute.PRIVATE: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.SIGN: True,
    Attribute.DECRYPT: False,
    Attribute.UNWRAP: False,
    Attribute.DERIVE: False,
}

# The token said so before it touched the key, or had no session left to touch it with.
_NOTHING_SIGNED = (
    p11.SessionHandleInvalid,
    p11.SessionClosed,
    p11.KeyHandleInvalid,
    p11.ObjectHandleInvalid,
    p11.UserNotLoggedIn,
    p11.OperationActive,
    p11.OperationNotInitialized,
    p11.TokenNotPresent,
    p11.SlotIDInvalid,
    p11.MechanismInvalid,
    p11.MechanismParamInvalid,
    p11.KeyTypeInconsistent,
    p11.KeySizeRange,
    p11.FunctionNotSupported,
    p11.ArgumentsBad,
)

_LEASE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A key pair in a token, as read back from it: `key_id` is its CKA_ID, `label` its CKA_LABEL."""

    key_id: bytes
    label: str
    algorithm: str
    spki: bytes
    attributes: Mapping[str, object]


@dataclass(slots=True)
class _Session:
    """One PKCS#11 session with the key handles found through it; used by one thread at a time."""

    session: Any
    handles: dict[bytes, Any] = field(default_factory=dict)

    def private(self, key_id: bytes) -> Any:
        """The private key of this CKA_ID; the handle is kept."""
        if key_id not in self.handles:
            self.handles[key_id] = self.one(ObjectClass.PRIVATE_KEY, key_id)
        return self.handles[key_id]

    def one(self, kind: ObjectClass, key_id: bytes) -> Any:
        """The one object of this class and CKA_ID. Raises `HSMUnavailable` or `KeyMismatch`."""
        with hsm_errors("look up a key"):
            found = list(self.session.get_objects({Attribute.CLASS: kind, Attribute.ID: key_id}))
        if not found:
            raise HSMUnavailable(
                f"The token does not hold the key with CKA_ID {key_id.hex()}.",
                next_step="Put the token back that held it at the ceremony.",
            )
        if len(found) > 1:
            raise KeyMismatch(f"The token holds {len(found)} keys with CKA_ID {key_id.hex()}.")
        return found[0]


class Token:
    """An opened token. Thread-safe: each call leases a session of its own; a session is dropped after any error."""

    def __init__(self, module: Module, token: Any, login: Any, sessions: int) -> None:
        self._module = module
        self._generation = module.generation
        self._token = token
        # Logging in belongs to the process: this session stays open and idle, and keeps the others logged in.
        self._login = login
        self._free: list[_Session] = []
        self._lock = Lock()
        self._leases = BoundedSemaphore(sessions)
        self.info: TokenInfo = token_info(token)
        self._excused = NOT_KEPT.get(self.info.model, frozenset())

    @classmethod
    def open(
        cls, module: str, label: str, pin: str, *, environment: Mapping[str, str] | None = None, sessions: int = 8
    ) -> "Token":
        """Logs in, once. Raises `PinRefused` (never tried again here), `HSMUnavailable`, or `Conflict` when
        this process is logged in already: the module would not look at the PIN then.
        """
        loaded = Module.load(module, environment)
        token = loaded.token(label)
        try:
            with hsm_errors("log in"):
                login = token.open(user_pin=pin)
        except HSMUnavailable as error:
            if isinstance(error.__cause__, p11.UserAlreadyLoggedIn):
                raise Conflict(
                    f"This process is logged in to the token '{label}' already.", next_step="Close it there first."
                ) from error
            raise
        return cls(loaded, token, login, sessions)

    def close(self) -> None:
        """Ends the sessions, and with them the login. No call may be under way."""
        if self._generation != self._module.generation or not self._module.running:
            return
        for session in [one.session for one in self._free] + [self._login]:
            with suppress(p11.PKCS11Error):
                session.close()
        self._free.clear()

    # --- keys ---

    def generate(self, label: str, key_id: bytes, algorithm: str) -> TokenKey:
        """A new key pair, non-extractable, for signing alone; answers what was read back from the token.

        Raises `Conflict` when the CKA_ID is taken, `KeyMismatch` when the token did not make what was
        demanded (the key is destroyed then), `HSMUnavailable`.
        """
        row = _row(algorithm)
        with self._leased() as session:
            with hsm_errors("look up a key"):
                if list(session.session.get_objects({Attribute.ID: key_id})):
                    raise Conflict(f"There is a key with CKA_ID {key_id.hex()} already.")
            with hsm_errors(f"generate a {algorithm} key"):
                _generate(session.session, row, label, key_id)
            try:
                return _read_back(session, key_id, row, self._excused)
            except HSMError:
                _destroy(session, key_id)
                raise

    def describe(self, key_id: bytes, algorithm: str) -> TokenKey:
        """The key as the token shows it now. Raises `KeyMismatch` unless it has all that KC-02 demands."""
        with self._leased() as session:
            return _read_back(session, key_id, _row(algorithm), self._excused)

    def find(self, label: str) -> tuple[bytes, ...]:
        """The CKA_IDs of the private keys with this label."""
        with self._leased() as session, hsm_errors("look up keys"):
            template = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.LABEL: label}
            return tuple(key[Attribute.ID] for key in session.session.get_objects(template))

    def destroy(self, key_id: bytes) -> None:
        """Destroys private and public key, for good (KC-09)."""
        with self._leased() as session:
            _destroy(session, key_id)

    def sign(self, key_id: bytes, algorithm: str, data: bytes) -> bytes:
        """Signs the whole `data`; answers the signature as X.509 carries it. It is not verified here.

        Raises `PossiblySigned` when the token failed at a point where a signature may exist, and
        `HSMUnavailable` when surely none does. A session that died meanwhile is replaced, once.
        """
        row = _row(algorithm)
        message = row.to_token(data)
        try:
            return row.to_der(self._sign(key_id, row, message))
        except _SessionLost:
            self._drop_free()
            return row.to_der(self._sign(key_id, row, message))

    def _sign(self, key_id: bytes, row: Algorithm, message: bytes) -> bytes:
        with self._leased() as session:
            key = session.private(key_id)
            with _possibly_signed():
                return bytes(key.sign(message, mechanism=Mechanism[row.mechanism]))

    # --- health ---

    def probe(self) -> None:
        """Raises `HSMUnavailable` when the token is gone or another stands in its slot."""
        self._must_be_current()
        with hsm_errors("answer for itself"):
            seen = token_info(self._token.slot.get_token())
        if seen != self.info:
            raise HSMUnavailable("Another token stands in the slot.", next_step="Put the right token back.")

    # --- sessions ---

    @contextmanager
    def _leased(self) -> Iterator[_Session]:
        """A session for this thread alone; it goes back to the pool only when nothing went wrong."""
        if not self._leases.acquire(timeout=_LEASE_SECONDS):
            raise HSMBusy("Every session of the token is busy.", next_step="Raise hsm.sessions.")
        try:
            session = self._take()
            try:
                yield session
            except BaseException:
                # SoftHSM answers CKR_OPERATION_ACTIVE for ever on a session whose C_Sign failed.
                with suppress(p11.PKCS11Error):
                    session.session.close()
                raise
            with self._lock:
                self._free.append(session)
        finally:
            self._leases.release()

    def _drop_free(self) -> None:
        """Where one session died, the others probably did: the next lease opens a fresh one."""
        with self._lock:
            dropped, self._free = self._free, []
        for one in dropped:
            with suppress(p11.PKCS11Error):
                one.session.close()

    def _take(self) -> _Session:
        self._must_be_current()
        with self._lock:
            if self._free:
                return self._free.pop()
        with hsm_errors("open a session"):
            return _Session(self._token.open(rw=True))

    def _must_be_current(self) -> None:
        if self._generation != self._module.generation or not self._module.running:
            raise HSMUnavailable("The PKCS#11 module was started anew.", next_step="Open the token again.")


class _SessionLost(HSMUnavailable):
    """Nothing was signed, and a fresh session may succeed."""


@contextmanager
def _possibly_signed() -> Iterator[None]:
    """Sorts the errors of C_SignInit and C_Sign into those that surely signed nothing and the others."""
    try:
        yield
    except _NOTHING_SIGNED as error:
        raise _SessionLost(
            f"The token could not sign: {cause(error)}.",
            next_step="Check module, token and their folder with 'certwright doctor'.",
        ) from error
    except p11.PKCS11Error as error:
        raise PossiblySigned(
            f"The token failed while it signed: {cause(error)}.",
            next_step="Treat the signature as made: the same serial is never signed again.",
        ) from error


def _row(algorithm: str) -> Algorithm:
    if algorithm not in ALGORITHMS:
        raise BadRequest(f"There is no algorithm '{algorithm}'.", next_step=f"Use one of {', '.join(ALGORITHMS)}.")
    return ALGORITHMS[algorithm]


def _generate(session: Any, row: Algorithm, label: str, key_id: bytes) -> None:
    """Generates the pair. A curve stands in domain parameters for python-pkcs11, a size in the call."""
    wanted = {
        "id": key_id,
        "label": label,
        "store": True,
        "capabilities": MechanismFlag.SIGN | MechanismFlag.VERIFY,
        "mechanism": Mechanism[row.generation],
        "private_template": _PRIVATE_TEMPLATE,
    }
    parameters = {Attribute[name]: value for name, value in row.parameters.items()}
    if Attribute.MODULUS_BITS in parameters:
        size = parameters.pop(Attribute.MODULUS_BITS)
        session.generate_keypair(KeyType[row.key_type], size, public_template=parameters, **wanted)
    else:
        domain = session.create_domain_parameters(KeyType[row.key_type], parameters, local=True)
        domain.generate_keypair(**wanted)


def _read_back(session: _Session, key_id: bytes, row: Algorithm, excused: frozenset[str]) -> TokenKey:
    """Reads attributes and public key from the token. Raises `KeyMismatch` when they are not as demanded."""
    private = session.private(key_id)
    public = session.one(ObjectClass.PUBLIC_KEY, key_id)
    with hsm_errors("show a key's attributes"):
        facts = {name: bool(private[Attribute[name]]) for name in DEMANDED}
        key_type, label = KeyType(private[Attribute.KEY_TYPE]), private[Attribute.LABEL]
        values = _values(public, row) if key_type is KeyType[row.key_type] else {}
    wrong = sorted(name for name, demanded in DEMANDED.items() if facts[name] is not demanded and name not in excused)
    if wrong:
        raise KeyMismatch(
            f"The key with CKA_ID {key_id.hex()} is not as demanded: {', '.join(wrong)}.",
            next_step="Use a token that makes sensitive, non-extractable keys, and generate the key in it.",
        )
    return TokenKey(key_id, label, row.name, _spki(row, key_type, values), {**facts, "KEY_TYPE": key_type.name})


def _values(public: Any, row: Algorithm) -> dict[str, bytes]:
    return {name: bytes(public[Attribute[name]]) for name in row.reads}


def _spki(row: Algorithm, key_type: KeyType, values: Mapping[str, bytes]) -> bytes:
    """The SPKI of the public object. Raises `KeyMismatch` when it is not a key of this algorithm."""
    if key_type is KeyType[row.key_type]:
        with suppress(ValueError):
            public_key = row.public_key(values)
            if row.matches(public_key):
                return spki_of(public_key)
    raise KeyMismatch(f"The key in the token is no {row.name} key.", next_step="Name the algorithm it was made with.")


def _destroy(session: _Session, key_id: bytes) -> None:
    session.handles.pop(key_id, None)
    with hsm_errors("destroy a key"):
        for found in list(session.session.get_objects({Attribute.ID: key_id})):
            found.destroy()


def token_private_key(token: Token, key: TokenKey) -> PrivateKey:
    """A private key for the library's builders over a token in this process: the root's, at a ceremony."""
    return private_key_over(load_spki(key.spki), partial(token.sign, key.key_id, key.algorithm))
