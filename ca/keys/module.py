"""The PKCS#11 module in this process: loaded with locking, restarted when it must be, never before a fork.

python-pkcs11 calls `C_Initialize(NULL)`, with which SoftHSM crashes as soon as two threads hold a session
each, and which NSS refuses. So the module is initialized through ctypes, with CKF_OS_LOCKING_OK and, for NSS, its
parameters. ctypes also gives `C_InitToken`, which python-pkcs11 lacks.
"""

import ctypes
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any

import pkcs11
from pkcs11 import _pkcs11
from pkcs11 import exceptions as p11

from ca.errors import BadRequest, Conflict, HSMError, HSMUnavailable, NotFound, PinRefused

_CKF_OS_LOCKING_OK = 0x00000002
_CKR_OK = 0x00000000
_CKR_ALREADY_INITIALIZED = 0x00000191
_LABEL_OCTETS = 32
NSS_PARAMETERS = "NSS_LIB_PARAMS"
"""The environment variable under which newer NSS looks for its parameters; here every NSS gets them from it."""

_SOFTWARE = ("softhsm", "nss", "mozilla", "network security services", "kryoptic", "opencryptoki soft")


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """What a token says of itself. `software` is told to everyone who looks at a key."""

    label: str
    manufacturer: str
    model: str
    serial: str

    @property
    def software(self) -> bool:
        """Whether the token is a program: its keys are files, whatever their attributes say."""
        said = f"{self.manufacturer} {self.model}".lower()
        return any(word in said for word in _SOFTWARE)

    def __str__(self) -> str:
        kind = "software token" if self.software else "token"
        return f"{kind} '{self.label}' ({self.manufacturer}, {self.model}, serial {self.serial})"


# --- errors -------------------------------------------------------------------------------------

_WRONG_PIN = (
    p11.PinIncorrect,
    p11.PinInvalid,
    p11.PinLenRange,
    p11.PinLocked,
    p11.PinExpired,
    p11.UserPinNotInitialized,
)


@contextmanager
def hsm_errors(doing: str) -> Iterator[None]:
    """Turns every PKCS#11 error, which carries no text of its own, into one of ours with cause and next step."""
    try:
        yield
    except _WRONG_PIN as error:
        raise PinRefused(
            f"The token refused the PIN ({cause(error)}) when asked to {doing}.",
            next_step="Correct the PIN where hsm.pin_source points; tokens count wrong tries and lock.",
        ) from error
    except p11.PKCS11Error as error:
        raise HSMUnavailable(
            f"The token could not {doing}: {cause(error)}.",
            next_step="Check module, token and their folder with 'certwright doctor'.",
        ) from error


def cause(error: p11.PKCS11Error) -> str:
    """The name of a PKCS#11 error in the style of the standard, and its text when there is any."""
    name = type(error).__name__
    words = "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in name).lstrip("_")
    known = "" if name == "PKCS11Error" else f"CKR_{words}"
    return " ".join(filter(None, (known, str(error)))) or name


# --- the module ---------------------------------------------------------------------------------


class _FunctionList(ctypes.Structure):
    """The head of CK_FUNCTION_LIST (PKCS#11 v2.40 §5): version, then pointers in the order of the standard."""

    _fields_ = (("version", ctypes.c_ubyte * 2), ("functions", ctypes.c_void_p * 10))


class _InitializeArguments(ctypes.Structure):
    """CK_C_INITIALIZE_ARGS (§5.4); where the standard has a reserved pointer, NSS has its parameters, then that one."""

    _fields_ = (
        ("mutexes", ctypes.c_void_p * 4),
        ("flags", ctypes.c_ulong),
        ("parameters", ctypes.c_char_p),
        ("reserved", ctypes.c_void_p),
    )


_INITIALIZE, _FINALIZE, _INIT_TOKEN = 0, 1, 9
_loaded: dict[str, "Module"] = {}
_loading = Lock()


class Module:
    """A loaded and initialized PKCS#11 module; one a path and process. Get it by `Module.load`."""

    def __init__(self, path: str, functions: _FunctionList, environment: dict[str, str]) -> None:
        self.path = path
        self.environment = environment
        self.generation = 0
        self.running = False
        self._initialize = _function(functions, _INITIALIZE, ctypes.c_void_p)
        self._finalize = _function(functions, _FINALIZE, ctypes.c_void_p)
        self._init_token = _function(
            functions, _INIT_TOKEN, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p
        )

    @classmethod
    def load(cls, path: str, environment: Mapping[str, str] | None = None) -> "Module":
        """The module at `path`, initialized under `environment` (such as SOFTHSM2_CONF).

        A module that is loaded already stays as it is, unless its environment differs: then it starts anew
        and every session of before is dead. Raises `HSMUnavailable`.
        """
        wanted = dict(environment or {})
        with _loading:
            os.environ.update(wanted)
            module = _loaded.get(path)
            if module is None:
                module = _loaded[path] = _load(path, wanted)
            elif not module.running or module.environment != wanted:
                module.environment = wanted
                module.restart()
            return module

    @cached_property
    def _library(self) -> Any:
        """python-pkcs11's view; it can be had once the module runs."""
        with hsm_errors("load its module"):
            return _Library(self.path)

    def restart(self) -> None:
        """Finalizes and initializes again: every session is dead, and a token that came back is seen.

        No other thread may be inside the module. `generation` rises, so that the holder of an old session
        can tell that its handle may belong to somebody else now. Raises `HSMUnavailable`; calling again
        tries again.
        """
        os.environ.update(self.environment)
        self.stop()
        self.generation += 1
        parameters = self.environment.get(NSS_PARAMETERS, "").encode() or None
        arguments = _InitializeArguments(flags=_CKF_OS_LOCKING_OK, parameters=parameters)
        answer = self._initialize(ctypes.byref(arguments))
        if answer not in {_CKR_OK, _CKR_ALREADY_INITIALIZED}:
            raise HSMUnavailable(
                f"The PKCS#11 module {self.path} does not start (CKR 0x{answer:08x}).",
                next_step="Check hsm.environment and that the token's folder exists and is yours.",
            )
        self.running = True

    def stop(self) -> None:
        """Finalizes the module: sessions are dead until `restart` or the next `load`."""
        self.running = False
        self._finalize(None)

    def abandon(self) -> None:
        """Every session of this process counts as dead, without a word to the module (after a fork)."""
        self.running = False

    def tokens(self) -> tuple[TokenInfo, ...]:
        """Every initialized token in a slot. Raises `HSMUnavailable`."""
        with hsm_errors("list its tokens"):
            return tuple(token_info(token) for token in self._library.get_tokens() if _initialized(token))

    def token(self, label: str) -> Any:
        """The one token of this label, as python-pkcs11 knows it. Raises `HSMUnavailable`."""
        with hsm_errors("find the token"):
            found = [token for token in self._library.get_tokens(token_label=label) if _initialized(token)]
        if len(found) != 1:
            raise HSMUnavailable(
                f"There are {len(found)} tokens labelled '{label}' in {self.path}, and there must be one.",
                next_step="Check hsm.token_label and hsm.environment, or put the token back.",
            )
        return found[0]

    def initialize_token(self, label: str, so_pin: str, pin: str) -> TokenInfo:
        """Makes a new token in the first empty slot, with the user's PIN set. Raises `Conflict`, `NotFound`."""
        if not 0 < len(label.encode()) <= _LABEL_OCTETS:
            raise BadRequest(f"A token's label takes 1 to {_LABEL_OCTETS} octets.", next_step="Shorten it.")
        if any(one.label == label for one in self.tokens()):
            raise Conflict(f"There is a token labelled '{label}' already.", next_step="Choose another label.")
        slot = self._empty_slot()
        secret = so_pin.encode()
        answer = self._init_token(slot.slot_id, secret, len(secret), label.encode().ljust(_LABEL_OCTETS))
        if answer != _CKR_OK:
            raise HSMError(
                f"The token could not be initialized (CKR 0x{answer:08x}).",
                next_step="Check the PINs' length (SoftHSM: 4 to 255) and the token folder's owner.",
            )
        # By its slot: NSS calls a token initialized only once it has a PIN, and takes its label from its parameters.
        with hsm_errors("set the user's PIN"):
            with slot.get_token().open(rw=True, so_pin=so_pin) as session:
                session.init_pin(pin)
            return token_info(slot.get_token())

    def _empty_slot(self) -> Any:
        with hsm_errors("list its slots"):
            for slot in self._library.get_slots(token_present=True):
                if not _initialized(slot.get_token()):
                    return slot
        raise NotFound("The module has no slot with an empty token.", next_step="Ask the vendor's tool to make one.")


class _Library(_pkcs11.lib):
    """python-pkcs11's view of a module that runs already: it initializes nothing."""

    def initialize(self) -> None:
        """Leaves it to `Module`."""


def _load(path: str, environment: dict[str, str]) -> Module:
    if not os.path.exists(path):
        raise HSMUnavailable(
            f"There is no PKCS#11 module at {path or '(nothing set)'}.",
            next_step="Set hsm.module; for SoftHSM on Debian it is /usr/lib/softhsm/libsofthsm2.so.",
        )
    table = ctypes.POINTER(_FunctionList)()
    try:
        ctypes.CDLL(path).C_GetFunctionList(ctypes.byref(table))
        functions = table.contents
    except (OSError, AttributeError, ValueError) as error:
        raise HSMUnavailable(
            f"{path} is no PKCS#11 module: {error}.", next_step="Set hsm.module to the vendor's PKCS#11 library."
        ) from error
    module = Module(path, functions, environment)
    module.restart()
    # A forked child shares neither threads nor sessions with the module: it must not use what it inherited.
    os.register_at_fork(after_in_child=module.abandon)
    return module


def _function(table: _FunctionList, index: int, *arguments: Any) -> Any:
    return ctypes.CFUNCTYPE(ctypes.c_ulong, *arguments)(table.functions[index])


def _initialized(token: Any) -> bool:
    return bool(token.flags & pkcs11.TokenFlag.TOKEN_INITIALIZED)


def token_info(token: Any) -> TokenInfo:
    """Our frozen view of a python-pkcs11 token."""
    serial = token.serial.decode(errors="replace").strip("\0 ")
    return TokenInfo(token.label, token.manufacturer_id, token.model, serial)
