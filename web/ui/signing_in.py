"""Signing in and out: the one-time link, a passkey, a password with a one-time password, and proving it again."""

from flask import Blueprint, Response, request, url_for

from ca.authority import Authority, passkeys, signin
from ca.errors import CAError, RateLimited, Unauthenticated
from web.ui.door import client, farewell, field, go, inside, seat, welcome
from web.ui.pages import page

JSON = "application/json"


def mount(blueprint: Blueprint, authority: Authority) -> None:
    """The pages of signing in."""
    _ways_in(blueprint, authority)
    _proving_again(blueprint)

    @blueprint.post("/sign-out")
    def sign_out() -> Response:
        seat().end_sign_in(seat().sign_in.id)
        return farewell(url_for("ui.sign_in"))


def _ways_in(blueprint: Blueprint, authority: Authority) -> None:
    @blueprint.get("/sign-in")
    def sign_in() -> Response:
        return page("sign_in.html", next=inside(request.args.get("next", "")))

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
            return _again("sign_in.html", error)
        return welcome(opened, _next())


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


def _again(template: str, error: CAError, **values: object) -> Response:
    """The same form, with what was wrong above it."""
    status = 429 if isinstance(error, RateLimited) else 401
    return page(template, status, error=error, next=_next(), **values)
