"""The account of whoever is signed in: passkeys, password, where he is signed in, colours; and the first enrolment."""

import io

import segno
from flask import Blueprint, Response, url_for

from ca.authority import Authority, bindings, passwords
from ca.errors import BadRequest
from web.ui.door import field, go, inside, seat
from web.ui.pages import THEME_COOKIE, THEMES, page, svg


def mount(blueprint: Blueprint, authority: Authority) -> None:
    """The pages of the account."""
    _enrolment(blueprint)

    @blueprint.get("/account")
    def account() -> Response:
        return page(
            "account.html",
            passkeys=seat().passkeys(),
            certificates=bindings.own(authority, seat()),
            sign_ins=seat().sign_ins(),
            host=_host(authority),
        )

    @blueprint.post("/account/passkeys/<passkey_id>/remove")
    def remove_passkey(passkey_id: str) -> Response:
        seat().remove_passkey(passkey_id)
        return go(url_for("ui.account"))

    @blueprint.post("/account/certificates/<sha256>/remove")
    def give_certificate_up(sha256: str) -> Response:
        bindings.give_up(authority, seat(), sha256)
        return go(url_for("ui.sign_in"))

    @blueprint.post("/account/sign-ins/<sign_in_id>/end")
    def end_sign_in(sign_in_id: str) -> Response:
        seat().end_sign_in(sign_in_id)
        return go(url_for("ui.account"))

    @blueprint.post("/account/theme")
    def set_theme() -> Response:
        response = go(inside(field("_from", 2000)))
        chosen = field("theme")
        response.set_cookie(
            THEME_COOKIE, chosen if chosen in THEMES else "auto", max_age=31536000, secure=True, httponly=True,
            samesite="Lax", path="/",
        )  # fmt: skip
        return response


def _enrolment(blueprint: Blueprint) -> None:
    @blueprint.get("/enrol")
    def enrol() -> Response:
        return _form(passwords.new_secret())

    @blueprint.post("/enrol/passkey/options")
    def new_passkey() -> Response:
        return Response(seat().passkey_options(), content_type="application/json")

    @blueprint.post("/enrol/passkey")
    def add_passkey() -> Response:
        seat().enrol_passkey(field("response", 65536), field("name"))
        return go(url_for("ui.home"))

    @blueprint.post("/enrol/password")
    def add_password() -> Response:
        try:
            seat().enrol_password(field("password"), field("secret"), field("code"))
        except BadRequest as error:
            return _form(field("secret"), error)
        return go(url_for("ui.home"))


def _form(secret: str, error: BadRequest | None = None) -> Response:
    uri = seat().totp_uri(secret)
    values = {"secret_value": secret, "uri": uri, "qr": _qr(uri), "first": seat().must_enrol()}
    return page("enrol.html", 400 if error else 200, error=error, **values)


def _qr(uri: str) -> object:
    """The QR code as SVG, for the camera of an authenticator app."""
    out = io.BytesIO()
    segno.make(uri, error="m").save(
        out, kind="svg", xmldecl=False, svgclass="qr", lineclass=None, omitsize=True, border=2
    )
    return svg(out.getvalue().decode())


def _host(authority: Authority) -> str:
    from ca.authority.passkeys import relying_party

    return relying_party(authority)[0]
