"""Which public keys may be certified (B-01)."""

import math
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from ca.errors import BadPublicKey
from ca.keycheck import _SMALL_ORDER, FERMAT_ROUNDS, KEY_TYPES, _has_close_primes, check_key, key_bits


def spki_of(key) -> bytes:  # type: ignore[no-untyped-def]
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def rsa_spki(modulus: int, exponent: int = 65537) -> bytes:
    return spki_of(rsa.RSAPublicNumbers(exponent, modulus).public_key())


def is_prime(n: int) -> bool:
    return all(pow(a, n - 1, n) == 1 for a in (2, 3, 5, 7, 11, 13))


def next_prime(n: int) -> int:
    n |= 1
    while math.gcd(n, 3 * 5 * 7 * 11 * 13) != 1 or not is_prime(n):
        n += 2
    return n


@pytest.mark.parametrize("kind", [*KEY_TYPES[:4], "ed25519"])
def test_b01_a_sound_key_is_named(kind: str, spki: Callable[[str], bytes]) -> None:
    assert check_key(spki(kind)) == kind


@pytest.mark.parametrize("bits", [1024, 2050, 3000])
def test_b01_rsa_of_another_size_is_refused(bits: int) -> None:
    with pytest.raises(BadPublicKey, match=str(bits)):
        check_key(spki_of(rsa.generate_private_key(65537, bits).public_key()))


def test_b01_another_public_exponent_is_refused() -> None:
    with pytest.raises(BadPublicKey, match="65537"):
        check_key(spki_of(rsa.generate_private_key(3, 2048).public_key()))


def test_b01_a_small_factor_is_found() -> None:
    modulus = 751 * (1 << 2038 | 12345)
    assert modulus.bit_length() == 2048
    with pytest.raises(BadPublicKey, match="small factor"):
        check_key(rsa_spki(modulus))


def test_b01_close_primes_are_found_by_fermat() -> None:
    p = next_prime((1 << 1023) + (1 << 1022) + 987654321)
    q = next_prime(p + (1 << 512))
    with pytest.raises(BadPublicKey, match="close together"):
        check_key(rsa_spki(p * q))


@pytest.mark.parametrize("distance", [1, 50, 95, 105, 1000])
def test_b01_fermat_goes_a_hundred_rounds(distance: int) -> None:
    """a = (p+q)/2 lies about `distance` above the root of p·q, and is reached in that round."""
    middle, half = 1 << 1023 | 1 << 1022, math.isqrt(2 * distance * (1 << 1023 | 1 << 1022)) | 1
    p, q = middle + half, middle - half
    rounds = middle - math.isqrt(p * q)
    assert abs(rounds - distance) <= 2
    assert _has_close_primes(p * q) is (rounds <= FERMAT_ROUNDS)


def test_b01_the_roca_fingerprint_is_found() -> None:
    """Primes k·M + 65537^a mod M, as the flawed chips made them: M is the product of the first primes."""
    product = math.prod(p for p in range(2, 702) if all(p % d for d in range(2, math.isqrt(p) + 1)))

    def flawed(a: int) -> int:
        k = (3 << 1022) // product
        candidate = k * product + pow(65537, a, product)
        while not is_prime(candidate):
            candidate += product
        return candidate

    modulus = flawed(1234567) * flawed(7654321)
    assert modulus.bit_length() == 2048
    with pytest.raises(BadPublicKey, match="ROCA"):
        check_key(rsa_spki(modulus))


@pytest.mark.parametrize("curve", [ec.SECP521R1(), ec.SECP256K1(), ec.SECP224R1(), ec.BrainpoolP256R1()])
def test_b01_other_curves_are_refused(curve: ec.EllipticCurve) -> None:
    with pytest.raises(BadPublicKey):
        check_key(spki_of(ec.generate_private_key(curve).public_key()))


def test_b01_other_kinds_are_refused() -> None:
    kinds = (ed448.Ed448PrivateKey, x25519.X25519PrivateKey)
    keys = [kind.generate().public_key() for kind in kinds] + [dsa.generate_private_key(2048).public_key()]
    for key in keys:
        with pytest.raises(BadPublicKey):
            check_key(spki_of(key))


def test_b01_a_point_off_its_curve_is_refused(spki: Callable[[str], bytes]) -> None:
    good = spki("ec-p256")
    with pytest.raises(BadPublicKey):
        check_key(good[:-1] + bytes([good[-1] ^ 1]))


def test_b01_a_compressed_point_is_refused() -> None:
    point = (
        ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    )
    compressed = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200") + point
    with pytest.raises(BadPublicKey):
        check_key(compressed)


def test_b01_rsa_pss_parameters_are_refused() -> None:
    plain = spki_of(rsa.generate_private_key(65537, 2048).public_key())
    identifier = bytes.fromhex("06092a864886f70d010101")
    pss = plain.replace(identifier, bytes.fromhex("06092a864886f70d01010a"))
    assert pss != plain
    with pytest.raises(BadPublicKey):
        check_key(pss)


# --- Ed25519 ------------------------------------------------------------------------------------

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P


def add(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    (x1, y1), (x2, y2) = a, b
    t = D * x1 * x2 * y1 * y2
    return (x1 * y2 + x2 * y1) * pow(1 + t, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - t, -1, P) % P


def times_eight(point: tuple[int, int]) -> tuple[int, int]:
    for _ in range(3):
        point = add(point, point)
    return point


def x_of(y: int) -> int | None:
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    root = pow(square, (P + 3) // 8, P)
    for candidate in (root, root * pow(2, (P - 1) // 4, P) % P):
        if candidate * candidate % P == square:
            return candidate
    return None


def test_b01_every_point_of_small_order_is_refused() -> None:
    for y in sorted(_SMALL_ORDER):
        x = x_of(y)
        assert x is not None
        assert times_eight((x, y)) == (0, 1), "the constant is a point whose order divides 8"
        for sign in (0, 1):
            raw = (y | sign << 255).to_bytes(32, "little")
            with pytest.raises(BadPublicKey):
                check_key(spki_of(ed25519.Ed25519PublicKey.from_public_bytes(raw)))
    assert len(_SMALL_ORDER) == 5, "eight points, by x and -x: 1 + 1 + 2/2 + 4/2"


def test_b01_non_canonical_and_off_curve_ed25519_keys_are_refused() -> None:
    off = next(y for y in range(2, 100) if x_of(y) is None)
    for y in (P, P + 1, P + 3, 2**255 - 1, off):
        with pytest.raises(BadPublicKey):
            check_key(spki_of(ed25519.Ed25519PublicKey.from_public_bytes(y.to_bytes(32, "little"))))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_key_or_a_bad_public_key(data: bytes) -> None:
    for check in (check_key, key_bits):
        with pytest.raises(BadPublicKey):
            check(data)


def test_a_huge_key_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(BadPublicKey, match="larger"):
        check_key(b"\x30" * 5000)


def test_the_bits_of_a_key_are_what_key_identifiers_hash(private_key: Callable) -> None:  # type: ignore[type-arg]
    key = private_key("ec-p256").public_key()
    assert key_bits(spki_of(key)) == key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
