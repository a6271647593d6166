"""The strict guard: what a JWS may look like, and each lie it may tell."""

import base64
import contextlib
import hashlib
import hmac
import json
from typing import Any

import josepy
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acme_server import jwk, jws
from acme_server.errors import BadAccountKey, BadSignatureAlgorithm, Malformed, TooLarge, Unauthorized
from ca.errors import CAError
from tests.acme_server import signing

URL = "https://ca.test/acme/new-order"
P256 = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
KEYS = [
    P256,
    ec.generate_private_key(ec.SECP384R1()),
    ec.generate_private_key(ec.SECP521R1()),
    RSA,
    ed25519.Ed25519PrivateKey.generate(),
]


def protected(key: signing.PrivateKey = P256, **more: Any) -> dict[str, Any]:
    return {"alg": signing.algorithm(key), "nonce": "bm9uY2U", "url": URL, "jwk": signing.jwk(key), **more}


def by_kid(**more: Any) -> dict[str, Any]:
    return {"alg": "ES256", "nonce": "bm9uY2U", "url": URL, "kid": "https://ca.test/acme/acct/1", **more}


@pytest.mark.parametrize("key", KEYS, ids=signing.algorithm)
def test_each_algorithm_of_the_table_verifies(key: signing.PrivateKey) -> None:
    signed = jws.parse(signing.sign(key, protected(key), {"a": 1}))
    signed.verify(signed.demand_key())
    assert signed.payload == b'{"a": 1}'
    assert signed.algorithm in jwk.ALGORITHMS


@pytest.mark.parametrize("key", KEYS, ids=signing.algorithm)
def test_another_signature_never_verifies(key: signing.PrivateKey) -> None:
    body = json.loads(signing.sign(key, protected(key), {"a": 1}))
    raw = bytearray(base64.urlsafe_b64decode(body["signature"] + "=="))
    raw[3] ^= 1
    for lie in ({"signature": signing.b64(bytes(raw))}, {"signature": ""}, {"payload": signing.b64(b'{"a": 2}')}):
        signed = jws.parse(json.dumps({**body, **lie}).encode())
        with pytest.raises(Malformed, match="does not verify"):
            signed.verify(signed.demand_key())


def test_der_signature_of_ecdsa_does_not_verify() -> None:
    from cryptography.hazmat.primitives import hashes

    body = json.loads(signing.sign(P256, protected()))
    der = P256.sign(f"{body['protected']}.".encode(), ec.ECDSA(hashes.SHA256()))
    signed = jws.parse(json.dumps({**body, "signature": signing.b64(der)}).encode())
    with pytest.raises(Malformed):
        signed.verify(signed.demand_key())


@pytest.mark.parametrize("key", KEYS[:4], ids=signing.algorithm)
def test_thumbprint_is_that_of_josepy(key: signing.PrivateKey) -> None:
    theirs = josepy.JWK.from_json(signing.jwk(key))
    ours = jwk.parse({**signing.jwk(key), "use": "sig", "kid": "x"})
    assert ours.thumbprint == josepy.b64encode(theirs.thumbprint()).decode()


def test_thumbprint_of_rfc_8037() -> None:
    key = jwk.parse({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    assert key.thumbprint == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


# --- algorithms ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "algorithm",
    ["none", "None", "NONE", "", "HS256", "HS384", "HS512", "RS1", "RS384", "PS256", "ES256K", "Ed25519", "dir",
     None, 5, [], {}, ["ES256"]],
)  # fmt: skip
def test_A04_every_other_algorithm_is_refused(algorithm: object) -> None:
    with pytest.raises(BadSignatureAlgorithm, match="ES256, ES384, ES512, RS256, EdDSA"):
        jws.parse(signing.sign(P256, protected(alg=algorithm)))


def test_A04_mac_keyed_with_the_public_key_is_refused() -> None:
    """The classic confusion: HS256 over the public key's own octets."""
    head, body = signing.b64(signing.dump(by_kid(alg="HS256"))), signing.b64(b"{}")
    secret = jwk.parse(signing.jwk(P256)).spki
    mac = hmac.new(secret, f"{head}.{body}".encode(), hashlib.sha256).digest()
    with pytest.raises(BadSignatureAlgorithm):
        jws.parse(json.dumps({"protected": head, "payload": body, "signature": signing.b64(mac)}).encode())


@pytest.mark.parametrize("algorithm", jwk.ALGORITHMS)
@pytest.mark.parametrize("key", KEYS, ids=signing.algorithm)
def test_A04_an_algorithm_fits_one_kind_of_key_only(key: signing.PrivateKey, algorithm: str) -> None:
    signed = jws.parse(signing.sign(key, protected(key, alg=algorithm)))
    if algorithm == signing.algorithm(key):
        signed.verify(signed.demand_key())
        return
    with pytest.raises(BadSignatureAlgorithm):
        signed.verify(signed.demand_key())


# --- keys ---------------------------------------------------------------------------------------


def _weak_rsa() -> dict[str, str]:
    return signing.jwk(rsa.generate_private_key(65537, 1024))


def _off_curve() -> dict[str, str]:
    good = signing.jwk(P256)
    return {**good, "y": good["x"]}


BAD_KEYS: dict[str, Any] = {
    "no object": "key",
    "null": None,
    "empty": {},
    "symmetric": {"kty": "oct", "k": "AAAA"},
    "unknown kind": {"kty": "XYZ", "x": "AAAA"},
    "kind is a list": {"kty": ["EC"]},
    "private EC": {**signing.jwk(P256), "d": "AAAA"},
    "private RSA": {**signing.jwk(RSA), "p": "AAAA"},
    "RSA-1024": _weak_rsa(),
    "RSA e=3": {**signing.jwk(RSA), "e": "Aw"},
    "RSA e=1": {**signing.jwk(RSA), "e": "AQ"},
    "RSA even modulus": {**signing.jwk(RSA), "n": signing.number(2**2048 - 2)},
    "RSA padded with zeros": {**signing.jwk(RSA), "n": signing.b64(b"\0" + b"\xff" * 256)},
    "RSA of 16 kibibits": {**signing.jwk(RSA), "n": signing.b64(b"\xff" * 2048)},
    "RSA without n": {"kty": "RSA", "e": "AQAB"},
    "off the curve": _off_curve(),
    "zero point": {**signing.jwk(P256), "x": signing.b64(bytes(32)), "y": signing.b64(bytes(32))},
    "short coordinate": {**signing.jwk(P256), "x": signing.b64(bytes(31))},
    "long coordinate": {**signing.jwk(P256), "x": signing.b64(bytes(33))},
    "padded coordinate": {**signing.jwk(P256), "x": signing.jwk(P256)["x"] + "="},
    "other curve's name": {**signing.jwk(P256), "crv": "P-384"},
    "secp256k1": {**signing.jwk(P256), "crv": "secp256k1"},
    "curve is a list": {**signing.jwk(P256), "crv": ["P-256"]},
    "X25519": {"kty": "OKP", "crv": "X25519", "x": signing.b64(bytes(32))},
    "Ed25519 of small order": {"kty": "OKP", "crv": "Ed25519", "x": signing.b64(b"\1" + bytes(31))},
    "Ed25519 too short": {"kty": "OKP", "crv": "Ed25519", "x": signing.b64(bytes(31))},
}


@pytest.mark.parametrize("key", BAD_KEYS.values(), ids=BAD_KEYS)
def test_A05_bad_keys_are_refused(key: object) -> None:
    with pytest.raises(BadAccountKey):
        jws.parse(signing.sign(P256, protected(jwk=key)))


# --- form ---------------------------------------------------------------------------------------


def _outer(**more: Any) -> bytes:
    return signing.sign(P256, protected(), {}, **more)


def _doubled(member: str) -> bytes:
    body = signing.sign(P256, protected()).decode()
    return (body[:-1] + f', "{member}": "YQ"' + "}").encode()


def _twice_in_header() -> bytes:
    head = json.dumps(protected())[:-1] + ', "alg": "none"}'
    return signing.sign(P256, head.encode())


BAD_FORMS: dict[str, bytes] = {
    "no JSON": b"hello",
    "empty": b"",
    "a list": b"[]",
    "compact": b"YQ.YQ.YQ",
    "unprotected header": _outer(header={"alg": "ES256"}),
    "empty unprotected header": _outer(header={}),
    "general": json.dumps({"payload": "", "signatures": [json.loads(_outer())]}).encode(),
    "flattened and general": _outer(signatures=[]),
    "no protected header": _outer(protected=None),
    "empty protected header": _outer(protected=""),
    "protected is a list": _outer(protected=signing.b64(b"[]")),
    "no signature": _outer(signature=None),
    "padded payload": _outer(payload="e30="),
    "padded signature": _outer(signature="YQ=="),
    "standard base64": _outer(signature="+/+/"),
    "payload is an object": _outer(payload={}),
    "protected twice": _doubled("protected"),
    "signature twice": _doubled("signature"),
    "alg twice": _twice_in_header(),
    "jwk and kid": signing.sign(P256, protected(kid="https://ca.test/acme/acct/1")),
    "neither jwk nor kid": signing.sign(P256, {"alg": "ES256", "nonce": "bm9uY2U", "url": URL}),
    "crit": signing.sign(P256, protected(crit=["b64"])),
    "b64 false": signing.sign(P256, protected(b64=False)),
    "b64 false and crit": signing.sign(P256, protected(b64=False, crit=["b64"])),
    "a foreign member": signing.sign(P256, protected(jku="https://evil.test/keys")),
    "x5c": signing.sign(P256, protected(x5c=["AAAA"])),
    "no alg": signing.sign(P256, {k: v for k, v in protected().items() if k != "alg"}),
    "no nonce": signing.sign(P256, {k: v for k, v in protected().items() if k != "nonce"}),
    "no url": signing.sign(P256, {k: v for k, v in protected().items() if k != "url"}),
    "empty nonce": signing.sign(P256, protected(nonce="")),
    "padded nonce": signing.sign(P256, protected(nonce="YQ==")),
    "nonce of other characters": signing.sign(P256, protected(nonce="not/a+nonce")),
    "nonce is a number": signing.sign(P256, protected(nonce=1)),
    "nonce is huge": signing.sign(P256, protected(nonce="YWFh" * 200)),
    "url is a list": signing.sign(P256, protected(url=[URL])),
    "kid is an object": signing.sign(P256, by_kid(kid={})),
}


@pytest.mark.parametrize("body", BAD_FORMS.values(), ids=BAD_FORMS)
def test_A03_A12_other_forms_are_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        jws.parse(body)


def test_A32_a_large_body_is_refused_before_it_is_read() -> None:
    with pytest.raises(TooLarge):
        jws.parse(b"[" * (10 * 1024 * 1024))


def test_unknown_outer_members_are_ignored() -> None:
    """RFC 7515 §7.2.1 wants it so; what matters is in the protected header."""
    assert jws.parse(_outer(comment="hello")).url == URL


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=300))
def test_any_octets_parse_or_raise_of_the_family(data: bytes) -> None:
    with pytest.raises(CAError):
        jws.parse(data)


MEMBERS = st.sampled_from(["alg", "nonce", "url", "jwk", "kid", "kty", "crv", "x", "y", "n", "e"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=5),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["alg", "nonce", "url", "jwk", "kid"]), JSON))
def test_any_protected_header_parses_or_raises_of_the_family(header: dict[str, Any]) -> None:
    with contextlib.suppress(CAError):
        jws.parse(signing.sign(P256, {"alg": "ES256", "nonce": "bm9uY2U", "url": URL, **header}))


# --- url, jwk or kid ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", [URL + "/", URL + "?", URL.upper(), URL.replace("https", "http"), URL.replace(".test", ".test:443"), "", "/"]
)
def test_A10_url_must_match_octet_by_octet(url: str) -> None:
    signed = jws.parse(signing.sign(P256, protected(url=url)))
    with pytest.raises(Unauthorized):
        signed.demand_url(URL)


def test_A10_the_same_url_is_accepted() -> None:
    jws.parse(signing.sign(P256, protected())).demand_url(URL)


def test_A07_jwk_and_kid_are_not_interchangeable() -> None:
    with pytest.raises(Malformed):
        jws.parse(signing.sign(P256, protected())).demand_kid()
    with pytest.raises(Malformed):
        jws.parse(signing.sign(P256, by_kid())).demand_key()


def test_A09_post_as_get_has_an_empty_payload() -> None:
    assert jws.parse(signing.sign(P256, by_kid(), b"")).payload == b""
    assert jws.parse(signing.sign(P256, by_kid(), {})).payload == b"{}"


# --- the inner JWS of a key change --------------------------------------------------------------


def test_A23_inner_jws_has_a_key_and_needs_no_nonce() -> None:
    head = {k: v for k, v in protected().items() if k != "nonce"}
    signed = jws.parse_inner(signing.sign(P256, head, {"account": "x"}))
    signed.verify(signed.demand_key())
    jws.parse_inner(signing.sign(P256, protected()))  # a nonce there is ignored
    for lie in (by_kid(), {k: v for k, v in head.items() if k != "jwk"}, {**head, "b64": False}):
        with pytest.raises(Malformed):
            jws.parse_inner(signing.sign(P256, lie))
