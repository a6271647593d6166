"""Signing in and out: the one-time link, a passkey, a password with a one-time password, and proving it again."""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, unquote

from flask import Blueprint, Response, request, url_for

from ca.authority import Authority, certificate_sign_on, passkeys, sign_on, signin
from ca.authority.seat import take_seat
from ca.errors import CAError, RateLimited, Unauthenticated
from ca.people import SignIn
from web import problems
from web.ui.door import COOKIE, client, farewell, field, go, inside, seat, welcome
from web.ui.pages import page

JSON = "application/json"
TICKET = "__Host-certwright-sign-on"


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a browser carries away and back: the secret of its round, its purpose, and where it goes on."""

    secret: str
    confirms: bool
    next: str

    @property
    def text(self) -> str:
        """As it lies in the cookie."""
        return f"{self.secret}.{'again' if self.confirms else 'new'}.{quote(self.next, safe='')}"

    @classmethod
    def of(cls, text: str) -> "Ticket":
        """What the cookie holds; the secret is empty when there is none."""
        secret, _, rest = text[:4096].partition(".")
        what, _, target = rest.partition(".")
        return cls(secret, what == "again", unquote(target))


def mount(blueprint: Blueprint, authority: Authority) -> None:
    """The pages of signing in."""
    _ways_in(blueprint, authority)
    _single_sign_on(blueprint, authority)
    _proving_again(blueprint)

    @blueprint.post("/sign-out")
    def sign_out() -> Response:
        seat().end_sign_in(seat().sign_in.id)
        return farewell(url_for("ui.sign_in"))


def _ways_in(blueprint: Blueprint, authority: Authority) -> None:
    @blueprint.get("/sign-in")
    def sign_in() -> Response:
        return page("sign_in.html", next=inside(request.args.get("next", "")), **_further_ways(authority))

    @blueprint.get("/link")
    def link() -> Response:
        return page("link.html")

    @blueprint.post("/link")
    def use_link() -> Response:
        # Pasted whole or as it stands after the #; either way the token was never in a request line.
        opened = signin.by_link(authority, field("link").rpartition("#")[2].strip(), client())
        return welcome(opened, url_for("ui.home"))

    @blueprint.post("/sign-in/passkey/options")
    def passkey_options() -> Response:
        return Response(passkeys.request_options(authority, "sign-in"), content_type=JSON)

    @blueprint.post("/sign-in/passkey")
    def use_passkey() -> Response:
        return welcome(signin.by_passkey(authority, field("response", 65536), client()), _next())

    @blueprint.post("/sign-in/password")
    def use_password() -> Response:
        try:
            opened = signin.by_password(authority, field("name"), field("password"), field("code"), client())
        except (Unauthenticated, RateLimited) as error:
            return sign_in_again(authority, error)
        return welcome(opened, _next())


def _single_sign_on(blueprint: Blueprint, authority: Authority) -> None:
    """There and back: a cookie ties both together, since the provider's answer comes from another site."""

    @blueprint.get("/sign-in/oidc")
    def sign_on_at_provider() -> Response:
        return _leave(authority, None)

    @blueprint.get("/confirm/oidc")
    def confirm_at_provider() -> Response:
        return _leave(authority, seat().sign_in)

    @blueprint.get("/sign-in/oidc/back")
    def signed_on() -> Response:
        return come_back(authority, _arrived)


def _leave(authority: Authority, one: SignIn | None) -> Response:
    ticket = Ticket(secrets.token_urlsafe(32), one is not None, inside(request.args.get("next", "")))
    try:
        response = go(sign_on.begin(authority, ticket.secret, one))
    except CAError as error:
        return sign_in_again(authority, error)
    return keep_ticket(response, ticket, sign_on.ROUND_LIFE)


def come_back(authority: Authority, arrived: Callable[[Authority, Ticket], Response]) -> Response:
    """What `arrived` makes of the browser's ticket, or the sign-in page with what went wrong; the ticket is spent."""
    ticket = Ticket.of(request.cookies.get(TICKET, ""))
    try:
        response = arrived(authority, ticket)
    except CAError as error:
        response = sign_in_again(authority, error)
    response.delete_cookie(TICKET, secure=True, httponly=True, samesite="Lax", path="/")
    return response


def keep_ticket(response: Response, ticket: Ticket, life: int) -> Response:
    """Gives the browser the ticket for so many seconds."""
    response.set_cookie(TICKET, ticket.text, max_age=life, secure=True, httponly=True, samesite="Lax", path="/")
    return response


def _arrived(authority: Authority, ticket: Ticket) -> Response:
    refused = request.args.get("error", "")
    if refused:
        word = refused if re.fullmatch(r"[a-z_]{1,64}", refused) else "an error"
        raise Unauthenticated(f"The provider refused: {word}.", next_step="Try again, or sign in another way.")
    state, code = request.args.get("state", "")[:200], request.args.get("code", "")[:2000]
    if not ticket.confirms:
        return welcome(sign_on.finish(authority, ticket.secret, state, code, client()), inside(ticket.next))
    own = take_seat(authority, request.cookies.get(COOKIE, ""))
    sign_on.confirm(authority, own.person, own.sign_in, ticket.secret, state, code)
    return go(inside(ticket.next))


def _proving_again(blueprint: Blueprint) -> None:
    @blueprint.get("/confirm")
    def confirm() -> Response:
        return page("confirm.html", next=inside(request.args.get("next", "")), passkeys=seat().passkeys())

    @blueprint.post("/confirm/passkey/options")
    def confirm_options() -> Response:
        return Response(seat().confirm_options(), content_type=JSON)

    @blueprint.post("/confirm/passkey")
    def confirm_by_passkey() -> Response:
        seat().confirm_by_passkey(field("response", 65536))
        return go(_next())

    @blueprint.post("/confirm/password")
    def confirm_by_password() -> Response:
        try:
            seat().confirm_by_password(field("password"), field("code"))
        except (Unauthenticated, RateLimited) as error:
            return _again("confirm.html", error, passkeys=seat().passkeys())
        return go(_next())


def _next() -> str:
    return inside(field("next", 2000))


def sign_in_again(authority: Authority, error: CAError) -> Response:
    """The sign-in page, with what was wrong above it."""
    return _again("sign_in.html", error, **_further_ways(authority))


def _further_ways(authority: Authority) -> dict[str, bool]:
    return {"provider": sign_on.offered(authority), "certificates": certificate_sign_on.offered(authority)}


def _again(template: str, error: CAError, **values: object) -> Response:
    """The same form, with what was wrong above it, as far as it is for everybody's eyes."""
    said = problems.of_error(error)
    return page(template, said.status_code, error=said.get_json(force=True), next=_next(), **values)
