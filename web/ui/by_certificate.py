"""Signing in by a TLS client certificate: to the door that asks for it, and back with a code."""

import secrets

from flask import Blueprint, Response, request

from ca.authority import Authority, certificate_sign_on
from ca.errors import CAError, Unauthenticated
from web.ui.door import client, go, inside, welcome
from web.ui.signing_in import Ticket, come_back, keep_ticket, sign_in_again

REFUSALS = {
    "missing": "Your browser showed no certificate.",
    "unknown": "Nobody signs in by this certificate, or not any more.",
    "unavailable": "The certificate cannot be looked up just now.",
}


def mount(blueprint: Blueprint, authority: Authority) -> None:
    """There and back."""

    @blueprint.get("/sign-in/certificate")
    def show_certificate() -> Response:
        ticket = Ticket(secrets.token_urlsafe(32), False, inside(request.args.get("next", "")))
        try:
            response = go(certificate_sign_on.begin(authority, ticket.secret))
        except CAError as error:
            return sign_in_again(authority, error)
        return keep_ticket(response, ticket, certificate_sign_on.ROUND_LIFE)

    @blueprint.get("/sign-in/certificate/back")
    def shown_certificate() -> Response:
        return come_back(authority, _arrived)


def _arrived(authority: Authority, ticket: Ticket) -> Response:
    refused = REFUSALS.get(request.args.get("refused", ""))
    if refused:
        raise Unauthenticated(
            refused, next_step="Close the browser to choose another certificate, or sign in another way."
        )
    code = request.args.get("code", "")[:200]
    return welcome(certificate_sign_on.finish(authority, ticket.secret, code, client()), inside(ticket.next))
