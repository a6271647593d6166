"""Private keys whose secret lives elsewhere, in the shape that `cryptography`'s builders accept.

The builders recognise a key by its abstract base class and hand the whole TBS to `sign`. One class
answers for all of them: constructing a `KeyHandle` chooses the base class that fits the public key.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn, Self, cast

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from ca.errors import Denied, SigningRefused
from ca.keys.algorithms import Algorithm, PrivateKey, PublicKey, algorithm_of

SignTBS = Callable[[bytes], bytes]
"""Signs a whole TBS and answers the signature as X.509 carries it (ECDSA in DER)."""


class KeyHandle:
    """A private key of which only the signature can be had. Thread-safe when its `sign_tbs` is."""

    def __new__(cls, public_key: PublicKey, *_: object, **__: object) -> Self:
        return cast(Self, object.__new__(_FACES(cls, algorithm_of(public_key).private_type)))

    def __init__(self, public_key: PublicKey, sign_tbs: SignTBS) -> None:
        self._public_key = public_key
        self._sign_tbs = sign_tbs
        self.algorithm: Algorithm = algorithm_of(public_key)

    def public_key(self) -> PublicKey:
        """The public part."""
        return self._public_key

    @property
    def curve(self) -> Any:
        """The curve, where there is one."""
        return cast(Any, self._public_key).curve

    @property
    def key_size(self) -> int:
        """The size in bits, where there is one."""
        return cast(int, cast(Any, self._public_key).key_size)

    def sign(self, data: bytes, *how: object, **named: object) -> bytes:
        """Signs the whole `data`. Raises `SigningRefused` for a digest or for a hash other than the key's own."""
        _must_fit(self.algorithm, (*how, *named.values()))
        return self._sign_tbs(bytes(data))

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise Denied("This key lives in a token: it signs, and its private part cannot be read or used otherwise.")

    private_bytes = private_bytes_raw = private_numbers = decrypt = exchange = _refuse

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self


def _face(cls: type[KeyHandle], private_type: type[Any]) -> type[KeyHandle]:
    """`cls` with the abstract base class by which the builders know what kind of key it is."""
    return type(cls.__name__, (cls, private_type), {})


_FACES: Callable[[Any, Any], type[KeyHandle]] = cache(_face)


def _must_fit(algorithm: Algorithm, how: tuple[object, ...]) -> None:
    """The builder has written `how` into the TBS as the signature algorithm: the token must do the same."""
    wanted = [getattr(part, "algorithm", part) for part in how if not isinstance(part, PKCS1v15)]
    if any(isinstance(part, Prehashed) for part in wanted):
        raise SigningRefused("A key in a token signs whole structures, never a digest.")
    if [type(part) for part in wanted] != ([algorithm.digest] if algorithm.digest else []):
        raise SigningRefused(
            f"A key of the kind {algorithm.name} does not sign this way.",
            next_step="Give the builder ca.keys.algorithms.signature_hash(public_key).",
        )


def private_key_over(public_key: PublicKey, sign_tbs: SignTBS) -> PrivateKey:
    """A private key for the library's builders over any function that signs a whole TBS."""
    return cast(PrivateKey, KeyHandle(public_key, sign_tbs))
