"""Bad requests as raw JWS, by the line of STANDARDS.md that each of them breaks. Each has one right answer.

A case is what is sent, where, and the ACME error type and HTTP status that have to come back.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.acme_server import signing
from tests.acme_server.client import ORIGIN, TYPE, Client
from tests.acme_server.signing import b64

Body = Callable[[Client, str], bytes]

P384 = ec.generate_private_key(ec.SECP384R1())
STRANGER = ec.generate_private_key(ec.SECP256R1())
RSA1024 = rsa.generate_private_key(65537, 1024)
RSA_E3 = rsa.generate_private_key(3, 2048)


@dataclass(frozen=True)
class Case:
    """`duty` is the id of STANDARDS.md. `where` is a resource of the directory, or a path below /acme."""

    duty: str
    what: str
    body: Body
    kind: str = "malformed"
    status: int = 400
    where: str = "newOrder"
    content_type: str = TYPE

    @property
    def name(self) -> str:
        return f"{self.duty} {self.what}"

    def url(self, client: Client) -> str:
        return f"{ORIGIN}/acme{self.where}" if self.where.startswith("/") else client.url(self.where)


# --- making bodies ------------------------------------------------------------------------------


def octets(data: bytes) -> Body:
    return lambda _client, _url: data


def outer(**members: Any) -> Body:
    """A good JWS with other outer members; `...` takes one away."""

    def make(client: Client, url: str) -> bytes:
        good = json.loads(client.sign(url, {}))
        return json.dumps({name: v for name, v in {**good, **members}.items() if v is not ...}).encode()

    return make


def head(payload: Any = None, **lies: Any) -> Body:
    """A JWS, truly signed, over another protected header."""
    return lambda client, url: client.sign(url, {} if payload is None else payload, **lies)


def payload(value: Any) -> Body:
    """A good JWS over this payload (bytes go out as they are)."""
    return lambda client, url: client.sign(url, value)


def by_key(value: Any = None, **lies: Any) -> Body:
    """A JWS with a jwk; an account's, unless `key` is given."""
    key = lies.pop("key", None)
    return lambda client, url: client.sign(url, {} if value is None else value, key=key or client.key, **lies)


def protected(data: bytes) -> Body:
    """A JWS whose protected header is these octets."""
    return lambda client, _url: signing.sign(client.key, data, {})


def signed(change: Callable[[bytes], bytes]) -> Body:
    """A good JWS whose signature was changed."""

    def make(client: Client, url: str) -> bytes:
        import base64

        good = json.loads(client.sign(url, {}))
        raw = base64.urlsafe_b64decode(good["signature"] + "==")
        return json.dumps({**good, "signature": b64(change(raw))}).encode()

    return make


def jwk(**members: Any) -> Body:
    """newAccount with this jwk; the signature does not matter any more."""
    return by_key(jwk=members)


def url_of(change: Callable[[str], str]) -> Body:
    return lambda client, url: client.sign(url, {}, url=change(url))


def names(*values: Any, kind: Any = "dns", **more: Any) -> Body:
    return payload({"identifiers": [{"type": kind, "value": value} for value in values], **more})


def flip(raw: bytes) -> bytes:
    return raw[:-1] + bytes([raw[-1] ^ 1])


def of_der(raw: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    return encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))


def raw_members(client: Client, url: str) -> dict[str, str]:
    return dict(json.loads(client.sign(url, {})))


def twice(client: Client, url: str) -> bytes:
    good = raw_members(client, url)
    return json.dumps(good)[:-1].encode() + b', "payload": "e30"}'


def general(client: Client, url: str) -> bytes:
    good = raw_members(client, url)
    signatures = [{"protected": good["protected"], "signature": good["signature"]}]
    return json.dumps({"payload": good["payload"], "signatures": signatures}).encode()


def compact(client: Client, url: str) -> bytes:
    good = raw_members(client, url)
    return f"{good['protected']}.{good['payload']}.{good['signature']}".encode()


EC = signing.jwk(STRANGER)
BIG = b64(b"\xff" * 256)


# --- the form of the JWS ------------------------------------------------------------------------

FORM: tuple[Case, ...] = (
    Case("A-03", "nothing", octets(b"")),
    Case("A-03", "no JSON", octets(b"hello")),
    Case("A-03", "an open brace", octets(b"{")),
    Case("A-03", "a list", octets(b"[]")),
    Case("A-03", "a number", octets(b"7")),
    Case("A-03", "a text", octets(b'"x"')),
    Case("A-03", "null", octets(b"null")),
    Case("A-03", "an empty object", octets(b"{}")),
    Case("A-03", "no UTF-8", octets(b'{"protected": "\xff"}')),
    Case("A-01", "UTF-16", octets('{"protected": ""}'.encode("utf-16"))),
    Case("A-01", "a byte order mark", octets(b"\xef\xbb\xbf{}")),
    Case("A-03", "two objects", lambda c, u: c.sign(u, {}) + b"{}"),
    Case("A-03", "something behind it", lambda c, u: c.sign(u, {}) + b"x"),
    Case("A-03", "a member twice", twice),
    Case("A-03", "NaN", octets(b'{"protected": NaN}')),
    Case("A-32", "deeply nested", octets(b"[" * 20_000)),
    Case("A-32", "deeply nested objects", octets(b'{"a":' * 9_000)),
    Case("A-03", "the general form", general),
    Case("A-03", "the compact form", compact),
    Case("A-03", "signatures beside", outer(signatures=[])),
    Case("A-03", "an unprotected header", outer(header={"kid": "x"})),
    Case("A-03", "an empty unprotected header", outer(header={})),
    Case("A-03", "header is null", outer(header=None)),
    *(Case("A-03", f"no {one}", outer(**{one: ...})) for one in ("protected", "payload", "signature")),
    *(Case("A-03", f"{one} is null", outer(**{one: None})) for one in ("protected", "payload", "signature")),
    *(Case("A-03", f"{one} is a number", outer(**{one: 1})) for one in ("protected", "payload", "signature")),
    *(Case("A-03", f"{one} is an object", outer(**{one: {}})) for one in ("protected", "payload", "signature")),
    *(Case("A-03", f"{one} is a list", outer(**{one: ["e30"]})) for one in ("protected", "payload", "signature")),
    *(Case("A-03", f"{one} is padded", outer(**{one: "e30="})) for one in ("protected", "payload", "signature")),
    *(Case("A-03", f"{one} has + and /", outer(**{one: "+/+/"})) for one in ("protected", "payload", "signature")),
    *(Case("A-03", f"{one} has a space", outer(**{one: "e3 0"})) for one in ("protected", "payload", "signature")),
    *(Case("A-03", f"{one} has stray bits", outer(**{one: "YR"})) for one in ("protected", "payload", "signature")),
    *(Case("A-03", f"{one} is foreign", outer(**{one: "é"})) for one in ("protected", "payload", "signature")),
)

HEADER: tuple[Case, ...] = (
    Case("A-03", "an empty protected header", protected(b"")),
    Case("A-03", "a protected header without members", protected(b"{}")),
    Case("A-03", "a protected list", protected(b"[]")),
    Case("A-03", "protected text", protected(b"alg")),
    Case("A-03", "a protected member twice", protected(b'{"alg":"ES256","alg":"ES256"}')),
    *(Case("A-03", f"no {one}", head(**{one: ...})) for one in ("alg", "nonce", "url", "kid")),
    Case("A-03", "crit is empty", head(crit=[])),
    Case("A-03", "crit of something", head(crit=["exp"], exp=1)),
    Case("A-03", "b64 false", head(b64=False, crit=["b64"])),
    Case("A-03", "b64 true", head(b64=True)),
    Case("A-03", "a typ", head(typ="JOSE")),
    Case("A-03", "a cty", head(cty="json")),
    Case("A-03", "an x5c", head(x5c=["MII"])),
    Case("A-03", "a jku", head(jku="https://evil.test/keys")),
    Case("A-03", "jwk and kid", head(jwk=EC)),
    Case("A-03", "an unknown member", head(extra=1)),
    Case("A-03", "url is a number", head(url=1)),
    Case("A-03", "url is null", head(url=None)),
    Case("A-03", "kid is a number", head(kid=1)),
    Case("A-03", "kid is an object", head(kid={})),
    Case("A-12", "nonce is a number", head(nonce=1)),
    Case("A-12", "nonce is null", head(nonce=None)),
    Case("A-12", "nonce is empty", head(nonce="")),
    Case("A-12", "nonce is padded", head(nonce="YWJj=")),
    Case("A-12", "nonce of other characters", head(nonce="a+b/")),
    Case("A-12", "nonce with a space", head(nonce="ab c")),
    Case("A-12", "nonce without end", head(nonce="A" * 1000)),
    Case("A-11", "an invented nonce", head(nonce=b64(b"\0" * 36)), "badNonce"),
    Case("A-11", "a short nonce", head(nonce="AAAA"), "badNonce"),
)

OTHERS = ("none", "NONE", "", "HS256", "HS512", "RS1", "RS384", "RS512", "PS256", "ES256K", "es256", "dir", None)
ALGORITHMS: tuple[Case, ...] = (
    *(Case("A-04", f"alg {value!r}", head(alg=value), "badSignatureAlgorithm") for value in OTHERS),
    Case("A-04", "alg is a number", head(alg=256), "badSignatureAlgorithm"),
    Case("A-04", "an algorithm of another curve", head(alg="ES384"), "badSignatureAlgorithm"),
    Case("A-04", "an algorithm of another kind of key", head(alg="RS256"), "badSignatureAlgorithm"),
    Case("A-04", "EdDSA with a P-256 key", head(alg="EdDSA"), "badSignatureAlgorithm"),
    Case("A-04", "ES256 with a P-384 key", by_key(key=P384, alg="ES256"), "badSignatureAlgorithm", where="newAccount"),
)

SIGNATURES: tuple[Case, ...] = (
    Case("A-04", "an empty signature", signed(lambda _raw: b"")),
    Case("A-04", "a signature of zeros", signed(lambda _raw: bytes(64))),
    Case("A-04", "a signature in DER", signed(of_der)),
    Case("A-04", "a short signature", signed(lambda raw: raw[:-1])),
    Case("A-04", "a long signature", signed(lambda raw: raw + b"\0")),
    Case("A-04", "a flipped bit", signed(flip)),
    Case("A-04", "r and s exchanged", signed(lambda raw: raw[32:] + raw[:32])),
    Case("A-04", "another payload", outer(payload=b64(b'{"identifiers":[]}'))),
    Case("A-04", "no payload any more", outer(payload="")),
    Case("A-04", "another key's signature", lambda c, u: signing.sign(
        STRANGER, {"alg": "ES256", "nonce": c.nonce(), "url": u, "kid": c.kid}, {})),
    Case("A-04", "another key's signature under a jwk", lambda c, u: signing.sign(
        STRANGER, {"alg": "ES256", "nonce": c.nonce(), "url": u, "jwk": signing.jwk(c.key)}, {}), where="newAccount"),
)  # fmt: skip

BAD_KEYS: dict[str, Body] = {
    "no kty": jwk(crv="P-256", x=EC["x"], y=EC["y"]),
    "an unknown kty": jwk(kty="AKP", pub="AA"),
    "a symmetric key": jwk(kty="oct", k="AAAA"),
    "a private key": jwk(**EC, d="AAAA"),
    "kty is a list": jwk(kty=["EC"]),
    "no x": jwk(kty="EC", crv="P-256", y=EC["y"]),
    "an unknown curve": jwk(kty="EC", crv="P-192", x=EC["x"], y=EC["y"]),
    "secp256k1": jwk(kty="EC", crv="secp256k1", x=EC["x"], y=EC["y"]),
    "the wrong curve's name": jwk(kty="EC", crv="P-384", x=EC["x"], y=EC["y"]),
    "a point off the curve": jwk(kty="EC", crv="P-256", x=EC["y"], y=EC["x"]),
    "the point at zero": jwk(kty="EC", crv="P-256", x=b64(bytes(32)), y=b64(bytes(32))),
    "a short coordinate": jwk(kty="EC", crv="P-256", x=b64(bytes(31)), y=EC["y"]),
    "a long coordinate": jwk(kty="EC", crv="P-256", x=b64(bytes(33)), y=EC["y"]),
    "RSA-1024": jwk(**signing.jwk(RSA1024)),
    "RSA with e = 3": jwk(**signing.jwk(RSA_E3)),
    "RSA with e = 1": jwk(kty="RSA", n=BIG, e="AQ"),
    "an even modulus": jwk(kty="RSA", n=b64(b"\xff" * 255 + b"\xfe"), e="AQAB"),
    "a small factor": jwk(kty="RSA", n=BIG, e="AQAB"),
    "a padded modulus": jwk(kty="RSA", n=b64(b"\0" + b"\xff" * 256), e="AQAB"),
    "an empty exponent": jwk(kty="RSA", n=BIG, e=""),
    "a giant modulus": jwk(kty="RSA", n=b64(b"\xff" * 4096), e="AQAB"),
    "RSA of an odd size": jwk(kty="RSA", n=b64(b"\xff" * 300), e="AQAB"),
    "X25519": jwk(kty="OKP", crv="X25519", x=b64(bytes(32))),
    "Ed448": jwk(kty="OKP", crv="Ed448", x=b64(bytes(57))),
    "Ed25519 of small order": jwk(kty="OKP", crv="Ed25519", x=b64(b"\x01" + bytes(31))),
    "Ed25519 of 31 octets": jwk(kty="OKP", crv="Ed25519", x=b64(bytes(31))),
    "no members": jwk(),
    "jwk is a text": head(jwk="x", kid=...),
    "jwk is null": head(jwk=None, kid=...),
    "a coordinate that is a number": jwk(kty="EC", crv="P-256", x=1, y=EC["y"]),
    "a padded coordinate": jwk(**{**EC, "x": EC["x"] + "="}),
}
KEYS = tuple(Case("A-05", what, body, "badPublicKey", where="newAccount") for what, body in BAD_KEYS.items())

DOOR: tuple[Case, ...] = (
    *(Case("A-06", f"as {kind or 'nothing'}", payload({}), status=415, content_type=kind)
      for kind in ("application/json", "application/jose", "text/plain", "", "application/x-www-form-urlencoded")),
    *(Case("A-07", f"a jwk at {where}", by_key(), where=where) for where in ("newOrder", "newAuthz", "keyChange")),
    Case("A-07", "a kid at newAccount", payload({}), where="newAccount"),
    *(Case("A-08", f"kid {kid[:40]!r}", head(kid=kid), "accountDoesNotExist")
      for kid in (f"{ORIGIN}/acme/acct/nobody", f"{ORIGIN}/acme/acct/", f"{ORIGIN}/acme/acct/../acct/x", "x", "",
                  "https://other.test/acme/acct/x", "/acme/acct/x", f"{ORIGIN}/acme/order/x")),
    *(Case("A-10", f"url {what}", url_of(change), "unauthorized", 403) for what, change in {
        "with a slash more": lambda url: url + "/",
        "by http": lambda url: "http" + url.removeprefix("https"),
        "in capitals": str.upper,
        "of another host": lambda url: url.replace("localhost", "127.0.0.1"),
        "without port": lambda url: url.replace(":8443", ""),
        "of another resource": lambda url: url.replace("new-order", "new-authz"),
        "with a query": lambda url: url + "?",
        "with a fragment": lambda url: url + "#x",
        "that is a path": lambda url: url.removeprefix(ORIGIN),
        "that is empty": lambda _url: "",
        "with a space": lambda url: url + " ",
        "escaped": lambda url: url.replace("new-order", "new%2dorder"),
    }.items()),
    Case("A-32", "a large body", octets(b" " * 70_000), status=413),
)  # fmt: skip

# --- what stands in the payload -----------------------------------------------------------------

PAYLOADS: Mapping[str, tuple[Any, ...]] = {
    "newOrder": (b"", b"[]", b"null", b"1", b'"x"', b"{", b"\xff", b'{"identifiers":[],"identifiers":[]}', {},
                 {"identifiers": None}, {"identifiers": {}}, {"identifiers": "x"}, {"identifiers": [[]]},
                 {"identifiers": [{}]}, {"identifiers": [None]}, {"identifiers": [{"type": "dns"}]},
                 {"identifiers": [{"value": "a.localhost"}]}, {"identifiers": [{"type": 1, "value": "a.localhost"}]},
                 {"identifiers": [{"type": "dns", "value": ["a.localhost"]}]}, {"identifiers": []}),
    "newAccount": (b"", b"[]", b"{", {"contact": "x"}, {"contact": [1]}, {"contact": {}}, {"onlyReturnExisting": "yes"},
                   {"termsOfServiceAgreed": 1}, {"externalAccountBinding": []}, {"externalAccountBinding": {}}),
    "newAuthz": (b"", b"[]", {}, {"identifier": None}, {"identifier": []}, {"identifier": {"type": "dns"}}),
    "revokeCert": (b"", b"[]", {}, {"certificate": None}, {"certificate": 1}, {"certificate": "a=="},
                   {"certificate": "YQ", "reason": "x"}, {"certificate": "YQ", "reason": 1.5},
                   {"certificate": "YQ", "reason": True}),
    "keyChange": (b"", b"{}", b"[]", {"protected": ""}, {"account": "x"},
                  {"protected": 1, "payload": "", "signature": ""}),
}  # fmt: skip

TYPES: tuple[Case, ...] = tuple(
    Case("A-19" if where == "newAccount" else "A-25", f"{where} of {value!r}"[:90],
         by_key(value, key=STRANGER) if where == "newAccount" else payload(value), where=where)
    for where, values in PAYLOADS.items() for value in values
)  # fmt: skip

ACCOUNTS: tuple[Case, ...] = (
    *(Case("A-19", f"contact {contact!r}"[:60], by_key({"contact": [contact]}, key=STRANGER), "invalidContact",
           where="newAccount")
      for contact in ("", "a@b.test", "mailto:", "mailto:a", "mailto:a@b.test,c@d.test", "mailto:a@b.test?subject=x",
                      "mailto:a@b@c.test", "mailto:a b@c.test", "mailto:a%40b.test@c", "mailto:@c.test")),
    *(Case("A-19", f"contact {contact!r}", by_key({"contact": [contact]}, key=STRANGER), "unsupportedContact",
           where="newAccount") for contact in ("tel:+49", "https://x.test/", "javascript:alert(1)")),
    Case("A-20", "no account of this key", by_key({"onlyReturnExisting": True}, key=STRANGER), "accountDoesNotExist",
         where="newAccount"),
    Case("A-22", "a binding of nobody", by_key({"externalAccountBinding": {
        "protected": b64(json.dumps({"alg": "HS256", "kid": "x", "url": f"{ORIGIN}/acme/new-account"}).encode()),
        "payload": b64(b"{}"), "signature": "AA"}}, key=STRANGER), "unauthorized", 403, where="newAccount"),
)  # fmt: skip

BAD_NAMES = (
        "", ".", "..", ".localhost", "localhost.", "a..localhost", "a.localhost.", "-a.localhost", "a-.localhost",
        "a_b.localhost", "_acme.localhost", "a" * 64 + ".localhost", "a." * 130 + "localhost", "a b.localhost",
        " a.localhost", "a.localhost\n", "a\0.localhost", "a\t.localhost", "a/b.localhost", "a.localhost:443",
        "user@a.localhost", "https://a.localhost", "a.localhost/", "bücher.localhost", "ａ.localhost", "a。localhost",
        "xn--.localhost", "xn--a.localhost", "xn--zzzzzzzz.localhost", "ab--cd.localhost", "a.123", "a.localhost.1",
        "127.0.0.1", "10.1.2.3", "::1", "[::1]", "127.1", "2130706433", "0x7f.0.0.1", "10.0.0.0/8", "*", "*.",
        "**.a.localhost", "a.*.localhost", "*a.localhost", "a*.localhost", "*.*.localhost", "localhost",
        "www.example.org", "com", "a\u200b.localhost", "a%2elocalhost", "a\\.localhost", "\u202ea.localhost",
        "\u017f.localhost", "\u212a.localhost",
)  # fmt: skip
BAD_ADDRESSES = ("", "a.localhost", "10.1.2", "010.1.2.3", "10.1.2.3/32", "10.1.2.3 ", "::ffff:10.1.2.3",
                 "0:0:0:0:0:0:0:1", "::1%lo", "[::1]", "8.8.8.8", "0.0.0.0", "224.0.0.1", "FE80::1",
                 "0x0a.1.2.3")  # fmt: skip
NAMES: tuple[Case, ...] = (
    *(Case("A-25", f"name {value!r}"[:60], names(value), "rejectedIdentifier") for value in BAD_NAMES),
    *(Case("A-34", f"address {value!r}", names(value, kind="ip"), "rejectedIdentifier") for value in BAD_ADDRESSES),
)

ORDERS: tuple[Case, ...] = (
    *(Case("A-25", f"type {kind!r}", names("a.localhost", kind=kind), "unsupportedIdentifier")
      for kind in ("email", "DNS", "uri", "", "permanent-identifier", "TNAuthList", "dns ")),
    Case("A-32", "1,000 identifiers", names(*(f"n{n}.localhost" for n in range(1000)))),
    Case("A-32", "5,000 identifiers", names(*(f"n{n}.localhost" for n in range(5000))), status=413),
    *(Case("A-25", f"{member} {value!r}", names("a.localhost", **{member: value}))
      for member in ("notBefore", "notAfter")
      for value in ("tomorrow", "2030-01-01", "2030-13-01T00:00:00Z", "2030-01-01T00:00:00", 5, [],
                    "2999-01-01T00:00:00Z", "1999-01-01T00:00:00Z")),
    *(Case("A-37", f"auto-renewal {value!r}"[:90], names("a.localhost", **{"auto-renewal": value}))
      for value in ([], "yes", 1, True, {}, {"lifetime": 86400}, {"end-date": "2030-01-01T00:00:00Z"},
                    {"end-date": "2030-01-01T00:00:00Z", "lifetime": "86400"}, {"end-date": 5, "lifetime": 86400},
                    {"end-date": "2030-01-01T00:00:00Z", "lifetime": 10**30})),
    *(Case("A-36", f"profile {value!r}"[:60], names("a.localhost", profile=value), "invalidProfile")
      for value in ("nothing", "own", "client", "Server", "../server", "x" * 500)),
    Case("A-36", "a profile that is a number", names("a.localhost", profile=1)),
    *(Case("A-35", f"replaces {value!r}"[:60], names("a.localhost", replaces=value), status=status)
      for value, status in (("x", 400), ("a.b.c", 400), (".", 400), ("YQ.YR", 400), ("YQ.", 400), (5, 400), ([], 400),
                            ("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", 404))),
)  # fmt: skip

OBJECTS: tuple[Case, ...] = (
    *(Case("A-32", f"nothing at /{kind}/{thing}"[:70], payload(b""), status=404, where=f"/{kind}/{thing}")
      for kind in ("order", "authz", "chall", "cert", "star")
      for thing in ("nothing", "0", "-1", "x" * 200, "YWJj", "'; DROP TABLE acme_order; --")),
    Case("A-39", "to cancel no order", payload({"status": "canceled"}), status=404, where="/order/nothing"),
    Case("A-09", "a payload for newNonce", payload({}), where="/new-nonce"),
    Case("A-32", "the account of another", payload(b""), "unauthorized", 403, where="/acct/somebody"),
    Case("A-32", "another's orders", payload(b""), "unauthorized", 403, where="/acct/somebody/orders"),
    Case("A-24", "to end another's account", payload({"status": "deactivated"}), "unauthorized", 403,
         where="/acct/somebody"),
    Case("A-30", "a foreign certificate", payload({"certificate": b64(b"junk")}), status=404, where="revokeCert"),
    Case("A-30", "no certificate", payload({"certificate": ""}), status=404, where="revokeCert"),
    *(Case("A-15", f"no resource at {path}", payload({}), status=404, where=path)
      for path in ("/", "/nothing", "/order", "/order/x/y/z", "/cert", "/a/b/c/d", "/client/new-authz")),
    *(Case("A-36", f"no resource at {path}", names("a.localhost"), status=404, where=path)
      for path in ("/nothing/new-order", "/own/new-order", "/client/new-order")),
)  # fmt: skip

CASES = (*FORM, *HEADER, *ALGORITHMS, *SIGNATURES, *KEYS, *DOOR, *TYPES, *ACCOUNTS, *NAMES, *ORDERS, *OBJECTS)
