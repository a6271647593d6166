"""The algorithms as data: a row says how a key is generated, how a TBS is signed and how that is verified.

Nothing here loads a PKCS#11 module: constants stand under their PKCS#11 names and `token` looks them up.
A new algorithm (ML-DSA, when a token has it) is a new row, not new code.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, Hash, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from ca.errors import BadPublicKey

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
Attributes = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One row. `identifier` is the DER of the signature's AlgorithmIdentifier (X-03).

    `parameters` go into the public template of the generation under their PKCS#11 names. `to_token` turns
    a TBS into what the mechanism takes, `to_der` the token's answer into the signature of X.509,
    `public_key` the attributes `reads` of the public object into a public key. `private_type` is the ABC
    that the library's builders recognise.
    """

    name: str
    key_type: str
    generation: str
    parameters: Mapping[str, bytes | int]
    mechanism: str
    digest: type[HashAlgorithm] | None
    identifier: bytes
    private_type: type[Any]
    reads: tuple[str, ...]
    public_key: Callable[[Attributes], PublicKey]
    matches: Callable[[PublicKey], bool]
    check: Callable[[Any, bytes, bytes], None]
    to_token: Callable[[bytes], bytes] = bytes
    to_der: Callable[[bytes], bytes] = bytes

    def hash(self) -> HashAlgorithm | None:
        """The hash that the library's builders are to be given; None where the algorithm has its own."""
        return self.digest() if self.digest else None

    def verifies(self, public_key: PublicKey, signature: bytes, data: bytes) -> bool:
        """Whether `signature` is this key's, over the whole `data`."""
        try:
            self.check(public_key, signature, data)
        except InvalidSignature:
            return False
        return True


def spki_of(public_key: PublicKey) -> bytes:
    """The DER SubjectPublicKeyInfo."""
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def load_spki(spki: bytes) -> PublicKey:
    """The public key of a DER SubjectPublicKeyInfo. Raises `BadPublicKey` for junk and for kinds not in the table."""
    try:
        key = load_der_public_key(spki)
    except Exception as error:  # noqa: BLE001  # the parser raises ValueError, UnsupportedAlgorithm and its own kinds
        raise BadPublicKey(f"The public key cannot be read: {error}.") from None
    algorithm_of(key)
    return key  # type: ignore[return-value]


def algorithm_of(public_key: object) -> Algorithm:
    """The row of a public key. Raises `BadPublicKey` when the table has none."""
    for row in ALGORITHMS.values():
        if row.matches(public_key):  # type: ignore[arg-type]
            return row
    raise BadPublicKey(
        f"No algorithm of this CA fits a key of the kind {type(public_key).__name__}.",
        next_step=f"Use one of {', '.join(ALGORITHMS)}.",
    )


def signature_hash(public_key: object) -> HashAlgorithm | None:
    """The hash to hand to a builder's `sign(key, hash)` for this public key."""
    return algorithm_of(public_key).hash()


# --- elliptic curves ----------------------------------------------------------------------------


def _digest(hash_type: type[HashAlgorithm], data: bytes) -> bytes:
    context = Hash(hash_type())
    context.update(data)
    return context.finalize()


def _ecdsa_der(raw: bytes) -> bytes:
    """PKCS#11 answers r||s; X.509 wants SEQUENCE{r, s} (RFC 3279 §2.2.3)."""
    half = len(raw) // 2
    return encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))


def _octet_string(value: bytes, size: int) -> bytes:
    """The point of CKA_EC_POINT: an OCTET STRING by the standard, bare by the habit of some tokens."""
    header = len(value) - size
    return value[header:] if header > 0 and value[0] == 0x04 and value[header - 1] == size else value


def _elliptic(curve: ec.EllipticCurve, oid: bytes, digest: type[HashAlgorithm], identifier: str) -> Algorithm:
    size = 1 + 2 * ((curve.key_size + 7) // 8)
    return Algorithm(
        name={"secp256r1": "ec-p256", "secp384r1": "ec-p384"}[curve.name],
        key_type="EC",
        generation="EC_KEY_PAIR_GEN",
        parameters={"EC_PARAMS": oid},
        # Hashed here: SoftHSM has bare CKM_ECDSA only, and a CRL of 40 MB need not cross into the token.
        mechanism="ECDSA",
        digest=digest,
        identifier=bytes.fromhex(identifier),
        private_type=ec.EllipticCurvePrivateKey,
        reads=("EC_POINT",),
        public_key=lambda a: ec.EllipticCurvePublicKey.from_encoded_point(curve, _octet_string(a["EC_POINT"], size)),
        matches=lambda key: isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == curve.name,
        check=lambda key, signature, data: key.verify(signature, data, ec.ECDSA(digest())),
        to_token=lambda data: _digest(digest, data),
        to_der=_ecdsa_der,
    )


# --- RSA ----------------------------------------------------------------------------------------


def _rsa_public_key(attributes: Attributes) -> PublicKey:
    modulus = int.from_bytes(attributes["MODULUS"], "big")
    return rsa.RSAPublicNumbers(int.from_bytes(attributes["PUBLIC_EXPONENT"], "big"), modulus).public_key()


def _rsa(bits: int) -> Algorithm:
    return Algorithm(
        name=f"rsa-{bits}",
        key_type="RSA",
        generation="RSA_PKCS_KEY_PAIR_GEN",
        parameters={"MODULUS_BITS": bits, "PUBLIC_EXPONENT": b"\x01\x00\x01"},
        mechanism="SHA256_RSA_PKCS",
        digest=SHA256,
        identifier=bytes.fromhex("300d06092a864886f70d01010b0500"),
        private_type=rsa.RSAPrivateKey,
        reads=("MODULUS", "PUBLIC_EXPONENT"),
        public_key=_rsa_public_key,
        matches=lambda key: isinstance(key, rsa.RSAPublicKey) and key.key_size == bits,
        check=lambda key, signature, data: key.verify(signature, data, padding.PKCS1v15(), SHA256()),
    )


# --- the table ----------------------------------------------------------------------------------

_P256_OID = bytes.fromhex("06082a8648ce3d030107")
_P384_OID = bytes.fromhex("06052b81040022")
_ED25519_OID = bytes.fromhex("06032b6570")

_ED25519 = Algorithm(
    name="ed25519",
    key_type="EC_EDWARDS",
    generation="EC_EDWARDS_KEY_PAIR_GEN",
    parameters={"EC_PARAMS": _ED25519_OID},
    mechanism="EDDSA",
    digest=None,
    identifier=bytes.fromhex("300506032b6570"),
    private_type=ed25519.Ed25519PrivateKey,
    reads=("EC_POINT",),
    public_key=lambda a: ed25519.Ed25519PublicKey.from_public_bytes(_octet_string(a["EC_POINT"], 32)),
    matches=lambda key: isinstance(key, ed25519.Ed25519PublicKey),
    check=lambda key, signature, data: key.verify(signature, data),
)

ALGORITHMS: Mapping[str, Algorithm] = {
    row.name: row
    for row in (
        _elliptic(ec.SECP256R1(), _P256_OID, SHA256, "300a06082a8648ce3d040302"),
        _elliptic(ec.SECP384R1(), _P384_OID, SHA384, "300a06082a8648ce3d040303"),
        _rsa(2048),
        _rsa(3072),
        _rsa(4096),
        _ED25519,
    )
}
