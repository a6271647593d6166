"""Who asks: a request becomes a principal here. Bearer tokens for the API; sessions come with the UI."""

from flask import g, request

from ca.authority import Authority
from ca.authority.tokens import Principal, authenticate
from ca.errors import Unauthenticated


def bearer(authority: Authority) -> Principal:
    """The principal of the request's bearer token (RFC 6750 §2.1), kept in `g`. Raises `Unauthenticated`."""
    scheme, _, secret = request.headers.get("Authorization", "").strip().partition(" ")
    if scheme.lower() != "bearer" or not secret:
        raise Unauthenticated(
            "This needs a bearer token.",
            next_step="Send 'Authorization: Bearer cw_…'; operators make tokens by 'certwright token create'.",
        )
    found = authenticate(authority, secret.strip())
    g.principal, g.actor = found, found.actor
    return found


def principal() -> Principal:
    """The principal that `bearer` found for this request."""
    found: Principal = g.principal
    return found
