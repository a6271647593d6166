"""The binding in a newAccount: a JWS by a credential's HMAC key over the account's own key (RFC 8555 §7.3.4; A-22)."""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from acme_server import jwk, jws
from acme_server.desk import Asked, Desk
from acme_server.eab.credential import Credential
from acme_server.eab.tables import Credentials
from acme_server.eab.wrapping import WrappingKey
from acme_server.errors import Malformed, Unauthorized
from acme_server.strict import JSONObject, json_object
from ca.errors import BadPublicKey, NotFound

_DIGESTS: Mapping[str, Callable[..., Any]] = {
    "HS256": hashlib.sha256,
    "HS384": hashlib.sha384,
    "HS512": hashlib.sha512,
}
_ADVICE = "See RFC 8555 §7.3.4, and take identifier and key as 'certwright acme eab create' printed them."


def verify(desk: Desk, asked: Asked, binding: JSONObject) -> Credential:
    """The credential that vouches for the key which signed this newAccount. Nothing is used up by it.

    Raises `Malformed` for what has not the form, and `Unauthorized`: of an unknown credential and of a wrong key no
    more than that.
    """
    signed = jws.parse_binding(binding, tuple(_DIGESTS))
    signed.demand_url(asked.url)
    credential = _held(desk, signed)
    _demand_same_key(signed, asked)
    return _current(credential, asked, desk.now())


def _held(desk: Desk, signed: jws.Signed) -> Credential:
    """The credential whose key made the MAC. An unknown one is told from a wrong key by nothing in the answer."""
    credentials = Credentials(desk.store)
    try:
        credential = credentials.get(signed.kid)
        wrapping = WrappingKey(desk.config.path(desk.config.acme.eab_key_file))
        key = wrapping.unwrap(credential.id, credentials.wrapped_key(credential.id))
    except NotFound:
        credential, key = None, secrets.token_bytes(32)
    mac = hmac.digest(key, signed.signing_input, _DIGESTS[signed.algorithm])
    if not hmac.compare_digest(mac, signed.signature) or credential is None:
        raise Unauthorized("The external account binding is not valid.", next_step=_ADVICE)
    return credential


def _demand_same_key(signed: jws.Signed, asked: Asked) -> None:
    try:
        bound = jwk.parse(json_object(signed.payload, "The payload of the binding"))
    except BadPublicKey:
        raise Malformed("The payload of the binding is no account key.", next_step=_ADVICE) from None
    if asked.key is None or bound.thumbprint != asked.key.thumbprint:
        raise Unauthorized("The external account binding is for another key.", next_step=_ADVICE)


def _current(credential: Credential, asked: Asked, now: int) -> Credential:
    """Whoever holds the key may hear why it does not serve."""
    status = credential.status(now)
    if status != "valid":
        raise Unauthorized(
            f"The external account's credential is {status}.",
            next_step="Ask an operator: 'certwright acme eab create'.",
        )
    if not credential.admits(asked.address):
        raise Unauthorized(
            "The external account's credential does not serve from this address.",
            next_step=f"Register from {', '.join(credential.networks)}.",
        )
    return credential
