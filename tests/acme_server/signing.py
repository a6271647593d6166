"""Client keys and hand-made JWS for tests: independent of the server's code, so that every lie can be told."""

import base64
import json
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
EC = {"secp256r1": ("P-256", "ES256", hashes.SHA256(), 32), "secp384r1": ("P-384", "ES384", hashes.SHA384(), 48),
      "secp521r1": ("P-521", "ES512", hashes.SHA512(), 66)}  # fmt: skip


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int, octets: int = 0) -> str:
    return b64(value.to_bytes(octets or (value.bit_length() + 7) // 8, "big"))


def jwk(key: PrivateKey) -> dict[str, str]:
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        return {"kty": "RSA", "n": number(public.public_numbers().n), "e": number(public.public_numbers().e)}
    if isinstance(public, ed25519.Ed25519PublicKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": b64(public.public_bytes_raw())}
    curve, _, _, octets = EC[public.curve.name]
    point = public.public_numbers()
    return {"kty": "EC", "crv": curve, "x": number(point.x, octets), "y": number(point.y, octets)}


def algorithm(key: PrivateKey) -> str:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return EC[key.curve.name][1]
    return "RS256" if isinstance(key, rsa.RSAPrivateKey) else "EdDSA"


def signature(key: PrivateKey, data: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    _, _, digest, octets = EC[key.curve.name]
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(digest)))
    return r.to_bytes(octets, "big") + s.to_bytes(octets, "big")


def dump(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def sign(key: PrivateKey, protected: Any, payload: Any = b"", /, **more: Any) -> bytes:
    """A flattened JWS over any protected header and payload (bytes go out as they are); `more` overrides members."""
    head, body = b64(dump(protected)), b64(dump(payload))
    made = {"protected": head, "payload": body, "signature": b64(signature(key, f"{head}.{body}".encode()))}
    return json.dumps({**made, **more}).encode()
