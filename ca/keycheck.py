"""Is this public key good enough to certify? (STANDARDS B-01, after the Baseline Requirements §6.1.1.3)

`check_key(spki)` answers the algorithm's name, or raises `BadPublicKey`. What is checked: the kind and size
(an allow list), one canonical encoding, RSA with e = 65537 and without small factors, the ROCA fingerprint
(CVE-2017-15361), close primes (Fermat, 100 rounds), points on their curve, Ed25519 points of small order.
Not checked: lists of known weak or leaked keys (Debian 2008 and others); this product ships none.
"""

import math
from functools import cache, lru_cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from ca.errors import BadPublicKey

KEY_TYPES = ("ec-p256", "ec-p384", "rsa-2048", "rsa-3072", "rsa-4096", "ed25519")
FERMAT_ROUNDS = 100
MAX_SPKI = 4096

_CURVES = {"secp256r1": "ec-p256", "secp384r1": "ec-p384"}
_RSA_SIZES = (2048, 3072, 4096)


@asn1.sequence
class _SubjectPublicKeyInfo:
    algorithm: asn1.TLV
    key: asn1.BitString


def key_bits(spki: bytes) -> bytes:
    """The content of the BIT STRING of a DER SubjectPublicKeyInfo: what key identifiers are hashes of."""
    try:
        return asn1.decode_der(_SubjectPublicKeyInfo, spki).key.as_bytes()
    except ValueError:
        raise BadPublicKey("The public key is no DER SubjectPublicKeyInfo.") from None


@lru_cache(maxsize=1024)
def check_key(spki: bytes) -> str:
    """The algorithm's name (one of KEY_TYPES) of a key that may be certified. Raises `BadPublicKey`."""
    key = _load(spki)
    match key:
        case rsa.RSAPublicKey():
            return _check_rsa(key)
        case ec.EllipticCurvePublicKey():
            return _check_ec(key)
        case ed25519.Ed25519PublicKey():
            return _check_ed25519(key)
        case _:
            raise _not_accepted(type(key).__name__.removesuffix("PublicKey"))


def _load(spki: bytes) -> object:
    if len(spki) > MAX_SPKI:
        raise BadPublicKey(f"The public key is larger than {MAX_SPKI} octets.")
    try:
        key = load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm):
        # A point off its curve comes this way too.
        raise BadPublicKey("The public key cannot be read.", next_step=_advice()) from None
    # Explicit curves, compressed points and RSA-PSS parameters read well, but would come out as another key.
    if key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != spki:
        raise BadPublicKey("The public key is not in its usual encoding.", next_step=_advice())
    return key


def _advice() -> str:
    return f"Use one of {', '.join(KEY_TYPES)} (uncompressed points, named curves, rsaEncryption)."


def _not_accepted(kind: str) -> BadPublicKey:
    return BadPublicKey(f"Keys of the kind {kind} are not accepted.", next_step=_advice())


# --- elliptic curves ----------------------------------------------------------------------------


def _check_ec(key: ec.EllipticCurvePublicKey) -> str:
    try:
        return _CURVES[key.curve.name]
    except KeyError:
        raise _not_accepted(key.curve.name) from None


_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
_Y_OF_ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER = {0, 1, _P - 1, _Y_OF_ORDER_8, _P - _Y_OF_ORDER_8}
"""The y of the eight points whose order divides the cofactor: anyone can sign for them."""


def _check_ed25519(key: ed25519.Ed25519PublicKey) -> str:
    """RFC 8032 §5.1.3: y below p and x² = (y²-1)/(dy²+1) a square; the library itself takes any 32 octets."""
    y = int.from_bytes(key.public_bytes_raw(), "little") & (2**255 - 1)
    x_squared = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    if y >= _P or y in _SMALL_ORDER or pow(x_squared, (_P - 1) // 2, _P) != 1:
        raise BadPublicKey("The Ed25519 key is no point of full order on its curve.", next_step="Make a new key.")
    return "ed25519"


# --- RSA ----------------------------------------------------------------------------------------


def _check_rsa(key: rsa.RSAPublicKey) -> str:
    if key.key_size not in _RSA_SIZES:
        raise _not_accepted(f"RSA with {key.key_size} bits")
    numbers = key.public_numbers()
    if numbers.e != 65537:
        raise BadPublicKey("The public exponent of the RSA key is not 65537.", next_step="Make a new key.")
    weakness = _rsa_weakness(numbers.n)
    if weakness:
        raise BadPublicKey(f"The RSA key is weak: {weakness}.", next_step="Make a new key with current software.")
    return f"rsa-{key.key_size}"


def _rsa_weakness(modulus: int) -> str:
    """What is wrong with the modulus, in words; empty when nothing was found."""
    if math.gcd(modulus, _small_primes_product()) != 1:
        return "its modulus has a small factor"
    if _has_roca_fingerprint(modulus):
        return "it was made by a chip with the ROCA flaw (CVE-2017-15361)"
    if _has_close_primes(modulus):
        return "its primes are too close together"
    return ""


def _primes(below: int) -> list[int]:
    return [n for n in range(2, below) if all(n % d for d in range(2, math.isqrt(n) + 1))]


@cache
def _small_primes_product() -> int:
    """All primes up to 751 (NIST SP 800-89 §5.3.3)."""
    return math.prod(_primes(752))


@cache
def _roca_residues() -> tuple[tuple[int, frozenset[int]], ...]:
    """For each prime up to 167 where 65537 does not generate all residues: those that it does generate.

    Affected chips make primes that are a power of 65537 modulo the product of these primes, for every key
    size; so is then the modulus. A sound modulus passes all of them by chance less than once in 2^27.
    """
    found = []
    for prime in _primes(168)[2:]:
        powers = frozenset(pow(65537, k, prime) for k in range(prime - 1))
        if len(powers) < prime - 1:
            found.append((prime, powers))
    return tuple(found)


def _has_roca_fingerprint(modulus: int) -> bool:
    return all(modulus % prime in powers for prime, powers in _roca_residues())


def _has_close_primes(modulus: int) -> bool:
    """Fermat's factorization: with primes close together, a² - n is a square soon."""
    a = math.isqrt(modulus) + 1
    for _ in range(FERMAT_ROUNDS):
        rest = a * a - modulus
        # Squares end in 0, 1, 4 or 9 modulo 16: three quarters of the roots need not be taken.
        if rest & 15 in (0, 1, 4, 9) and math.isqrt(rest) ** 2 == rest:
            return True
        a += 1
    return False
