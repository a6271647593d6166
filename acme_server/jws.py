"""The strict guard in front of every POST: a flattened JWS, and nothing that has two meanings (RFC 8555 §6.2).

    signed = jws.parse(body)              # form: raises Malformed, BadSignatureAlgorithm, BadAccountKey
    signed.demand_url(url)                # raises Unauthorized
    signed.verify(key)                    # raises Malformed

The nonce is redeemed by `acme_server.nonces`, whose key to the account by `acme_server.accounts`.
"""

from dataclasses import dataclass

from acme_server import jwk
from acme_server.errors import Malformed, TooLarge, Unauthorized
from acme_server.jwk import AccountKey
from acme_server.strict import JSONObject, decode, json_object

MAX_BODY = 64 * 1024
_MAX_NONCE = 256
_FORBIDDEN = ("header", "signatures")
_ADVICE = "See RFC 8555 §6.2."


@dataclass(frozen=True, slots=True)
class Signed:
    """A JWS of good form whose signature nobody has verified yet. Either `key` or `kid` is there.

    `payload` is empty for POST-as-GET (RFC 8555 §6.3). `nonce` is empty in the inner JWS of a key change.
    """

    algorithm: str
    url: str
    nonce: str
    kid: str
    key: AccountKey | None
    payload: bytes
    signing_input: bytes
    signature: bytes

    def demand_url(self, url: str) -> None:
        """Raises `Unauthorized` unless the JWS is meant for exactly this URL (RFC 8555 §6.4)."""
        if self.url != url:
            raise Unauthorized(
                f"The url in the JWS is {self.url[:200]!r}, but it came to {url!r}.",
                next_step="Use the URLs of the directory as they are.",
            )

    def demand_key(self) -> AccountKey:
        """The key that came along. Raises `Malformed` if the JWS names an account instead."""
        if self.key is None:
            raise Malformed("This resource wants a jwk in the JWS, not a kid.", next_step=_ADVICE)
        return self.key

    def demand_kid(self) -> str:
        """The URL of the account that signed. Raises `Malformed` if the JWS brings a key instead."""
        if self.key is not None:
            raise Malformed("This resource wants a kid in the JWS, not a jwk.", next_step=_ADVICE)
        return self.kid

    def verify(self, key: AccountKey) -> None:
        """Returns if `key` made this signature. Raises `BadSignatureAlgorithm` or `Malformed`."""
        key.verify(self.algorithm, self.signature, self.signing_input)


def parse(body: bytes) -> Signed:
    """The JWS of a request. Raises `Malformed`, `TooLarge`, `BadSignatureAlgorithm` or `BadAccountKey`."""
    outer, protected = _open(body)
    _demand_members(protected, frozenset(("alg", "nonce", "url", "jwk")), frozenset(("alg", "nonce", "url", "kid")))
    nonce = protected["nonce"]
    if not decode(nonce, "The nonce") or len(nonce) > _MAX_NONCE:
        raise Malformed("The nonce is empty or too long.", next_step="Take one from newNonce.")
    return _signed(outer, protected, nonce)


def parse_inner(body: bytes) -> Signed:
    """The inner JWS of a key change: signed by the key that it brings, and without nonce (RFC 8555 §7.3.5)."""
    outer, protected = _open(body)
    _demand_members({**protected, "nonce": ""}, frozenset(("alg", "url", "jwk", "nonce")))
    return _signed(outer, protected, "")


def parse_binding(outer: JSONObject, algorithms: tuple[str, ...]) -> Signed:
    """An external account binding: signed by a MAC, with a kid that is no URL, without nonce (RFC 8555 §7.3.4)."""
    protected = _protected(outer)
    _demand_members({**protected, "nonce": ""}, frozenset(("alg", "url", "kid", "nonce")))
    if protected["alg"] not in algorithms:
        raise Malformed("The binding is signed by no MAC that is taken.", next_step=f"Use {', '.join(algorithms)}.")
    return _signed(outer, protected, "", algorithms)


def _open(body: bytes) -> tuple[JSONObject, JSONObject]:
    if len(body) > MAX_BODY:
        raise TooLarge(f"The body is larger than {MAX_BODY // 1024} KiB.")
    outer = json_object(body, "The body")
    return outer, _protected(outer)


def _protected(outer: JSONObject) -> JSONObject:
    """The protected header of a flattened JWS. Raises `Malformed` for any other form."""
    for name in _FORBIDDEN:
        if name in outer:
            raise Malformed(f"The JWS has a member {name!r}; only the flattened form is taken.", next_step=_ADVICE)
    for name in ("protected", "payload", "signature"):
        if not isinstance(outer.get(name), str):
            raise Malformed(f"The JWS has no text member {name!r}.", next_step=_ADVICE)
    return json_object(decode(outer["protected"], "The protected header"), "The protected header")


def _demand_members(protected: JSONObject, *wanted: frozenset[str]) -> None:
    """Exactly these members: `crit`, `b64`, an unknown one, or jwk and kid together are refused (A-03)."""
    if protected.keys() not in wanted:
        held = ", ".join(sorted(protected))[:200] or "nothing"
        raise Malformed(
            f"The protected header holds {held}; it takes alg, nonce, url and one of jwk and kid.",
            next_step=_ADVICE,
        )


def _signed(
    outer: JSONObject, protected: JSONObject, nonce: str, algorithms: tuple[str, ...] = jwk.ALGORITHMS
) -> Signed:
    algorithm, url, kid = protected["alg"], protected["url"], protected.get("kid", "")
    if algorithm not in algorithms:
        raise jwk.bad_algorithm("The JWS is signed by an algorithm that is not taken.")
    if not isinstance(url, str) or not isinstance(kid, str):
        raise Malformed("url and kid are texts.", next_step=_ADVICE)
    return Signed(
        algorithm=algorithm,
        url=url,
        nonce=nonce,
        kid=kid,
        key=jwk.parse(protected["jwk"]) if "jwk" in protected else None,
        payload=decode(outer["payload"], "The payload"),
        signing_input=f"{outer['protected']}.{outer['payload']}".encode("ascii"),
        signature=decode(outer["signature"], "The signature"),
    )
