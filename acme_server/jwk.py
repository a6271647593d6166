"""Account keys: JSON Web Keys become checked public keys here (RFC 7517, 7518, 8037), and verify signatures.

Exactly one kind of key fits each algorithm; MACs and `none` are not in the table, so they cannot be meant.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from acme_server.errors import BadAccountKey, BadSignatureAlgorithm, Malformed
from acme_server.strict import JSONObject, decode, encode
from ca.errors import BadPublicKey
from ca.keycheck import check_key

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey

_CURVES: Mapping[str, tuple[ec.EllipticCurve, str, hashes.HashAlgorithm]] = {
    "P-256": (ec.SECP256R1(), "ES256", hashes.SHA256()),
    "P-384": (ec.SECP384R1(), "ES384", hashes.SHA384()),
    "P-521": (ec.SECP521R1(), "ES512", hashes.SHA512()),
}
ALGORITHMS = ("ES256", "ES384", "ES512", "RS256", "EdDSA")
"""What the `algorithms` member of badSignatureAlgorithm lists, the most welcome first."""

_MEMBERS: Mapping[str, tuple[str, ...]] = {
    "EC": ("crv", "kty", "x", "y"),
    "RSA": ("e", "kty", "n"),
    "OKP": ("crv", "kty", "x"),
}
_SECRET_MEMBERS = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))
_ADVICE = "Make an account key of one of the kinds P-256, P-384, P-521, Ed25519, RSA with 2048, 3072 or 4096 bits."


@dataclass(frozen=True, slots=True)
class AccountKey:
    """A public key that may hold an account. `jwk` is its canonical JSON (RFC 7638), `spki` is DER."""

    jwk: str
    thumbprint: str
    spki: bytes
    algorithm: str
    public: PublicKey

    def verify(self, algorithm: str, signature: bytes, data: bytes) -> None:
        """Returns if the signature holds. Raises `BadSignatureAlgorithm` (not this key's own) or `Malformed`."""
        if algorithm != self.algorithm:
            raise bad_algorithm(f"The algorithm {algorithm} does not fit the key, which signs by {self.algorithm}.")
        try:
            _VERIFY[algorithm](self.public, signature, data)
        except InvalidSignature:
            raise Malformed(
                "The signature of the JWS does not verify.", next_step="Sign it by the account's key."
            ) from None


def bad_algorithm(detail: str) -> BadSignatureAlgorithm:
    """The refusal of an algorithm; it names those that are taken."""
    return BadSignatureAlgorithm(detail, next_step=f"Use one of {', '.join(ALGORITHMS)}.")


def parse(jwk: object) -> AccountKey:
    """The account key of a JWK from outside. Raises `BadAccountKey`; a private key is refused, and said to be."""
    if not isinstance(jwk, dict):
        raise BadAccountKey("The jwk is no JSON object.", next_step=_ADVICE)
    if _SECRET_MEMBERS & jwk.keys():
        raise BadAccountKey(
            "The jwk holds a private or symmetric key.", next_step="Throw that key away and make a new one."
        )
    try:
        wanted = {name: jwk[name] for name in _MEMBERS[jwk["kty"]]}
    except (KeyError, TypeError):
        raise BadAccountKey("The jwk lacks members, or is of a kind that is not taken.", next_step=_ADVICE) from None
    if not all(isinstance(value, str) for value in wanted.values()):
        raise BadAccountKey("The members of the jwk are no texts.", next_step=_ADVICE)
    try:
        return load(json.dumps(wanted, sort_keys=True, separators=(",", ":")))
    except (BadPublicKey, Malformed) as error:
        raise BadAccountKey(error.detail, next_step=error.next_step or _ADVICE) from None


@lru_cache(maxsize=4096)
def load(canonical: str) -> AccountKey:
    """The account key of a canonical JWK, such as the records hold. A key of the cache costs no arithmetic."""
    jwk = json.loads(canonical)
    public, algorithm = _READ[jwk["kty"]](jwk)
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if algorithm != "ES512":  # not a kind that is certified, but good for an account
        check_key(spki)
    return AccountKey(canonical, encode(hashlib.sha256(canonical.encode()).digest()), spki, algorithm, public)


# --- reading ------------------------------------------------------------------------------------


def _read_ec(jwk: JSONObject) -> tuple[PublicKey, str]:
    if jwk["crv"] not in _CURVES:
        raise BadAccountKey("The curve of the jwk is not taken.", next_step=_ADVICE)
    curve, algorithm, _ = _CURVES[jwk["crv"]]
    x, y = (decode(jwk[name], f"The member {name} of the jwk") for name in "xy")
    octets = _octets(curve)
    if len(x) != octets or len(y) != octets:
        raise BadAccountKey(f"The coordinates of the jwk have not {octets} octets.", next_step="See RFC 7518 §6.2.1.")
    try:
        return ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), curve).public_key(), algorithm
    except ValueError:
        raise BadAccountKey("The point of the jwk is not on its curve.", next_step=_ADVICE) from None


def _read_rsa(jwk: JSONObject) -> tuple[PublicKey, str]:
    n, e = (decode(jwk[name], f"The member {name} of the jwk") for name in "ne")
    if not n or not e or n[0] == 0 or e[0] == 0 or len(n) > 1024 or len(e) > 8:
        raise BadAccountKey("The numbers of the jwk are empty, padded or too large.", next_step=_ADVICE)
    try:
        return rsa.RSAPublicNumbers(int.from_bytes(e), int.from_bytes(n)).public_key(), "RS256"
    except ValueError:
        raise BadAccountKey("The jwk is no RSA key.", next_step=_ADVICE) from None


def _read_okp(jwk: JSONObject) -> tuple[PublicKey, str]:
    raw = decode(jwk["x"], "The member x of the jwk")
    if jwk["crv"] != "Ed25519" or len(raw) != 32:
        raise BadAccountKey("The curve of the jwk is not taken.", next_step=_ADVICE)
    return ed25519.Ed25519PublicKey.from_public_bytes(raw), "EdDSA"


_READ: Mapping[str, Callable[[JSONObject], tuple[PublicKey, str]]] = {
    "EC": _read_ec,
    "RSA": _read_rsa,
    "OKP": _read_okp,
}


def _octets(curve: ec.EllipticCurve) -> int:
    return (curve.key_size + 7) // 8


# --- verifying ----------------------------------------------------------------------------------


def _verifier_ec(curve: ec.EllipticCurve, digest: hashes.HashAlgorithm) -> Callable[[Any, bytes, bytes], None]:
    octets, scheme = _octets(curve), ec.ECDSA(digest)

    def verify(public: ec.EllipticCurvePublicKey, signature: bytes, data: bytes) -> None:
        if len(signature) != 2 * octets:
            raise InvalidSignature
        r, s = int.from_bytes(signature[:octets]), int.from_bytes(signature[octets:])
        public.verify(encode_dss_signature(r, s), data, scheme)

    return verify


def _verify_rsa(public: rsa.RSAPublicKey, signature: bytes, data: bytes) -> None:
    public.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())


def _verify_ed25519(public: ed25519.Ed25519PublicKey, signature: bytes, data: bytes) -> None:
    public.verify(signature, data)


_VERIFY: Mapping[str, Callable[[Any, bytes, bytes], None]] = {
    **{algorithm: _verifier_ec(curve, digest) for curve, algorithm, digest in _CURVES.values()},
    "RS256": _verify_rsa,
    "EdDSA": _verify_ed25519,
}
