"""Who comes in: cookie to seat; who may post; and the headers of every page.

Default deny: a path that is not in `OPEN` wants a sign-in, and each POST wants to come from our own pages: its
`Origin` is compared, and beside a cookie the token that only our pages know.
"""

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from flask import Blueprint, Response, g, redirect, request, url_for

from ca.authority import Authority
from ca.authority.seat import Seat, take_seat
from ca.authority.signin import Client, Opened
from ca.errors import BadRequest, Denied, Unauthenticated

COOKIE = "__Host-certwright"
"""The prefix binds it to this host, to HTTPS and to the path /."""

TOKEN_FIELD, TOKEN_HEADER = "_token", "X-CSRF-Token"

OPEN = frozenset(
    {
        *("ui.static", "ui.sign_in", "ui.link", "ui.use_link", "ui.passkey_options", "ui.use_passkey"),
        *("ui.use_password", "ui.sign_on_at_provider", "ui.signed_on"),
        *("ui.show_certificate", "ui.shown_certificate"),
    }
)
"""Endpoints for people who are not signed in."""

ENROLLING = frozenset({"ui.enrol", "ui.new_passkey", "ui.add_passkey", "ui.add_password", "ui.sign_out"})
"""All that is open to whoever has no passkey and no password yet."""

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}
"""`no-referrer` would make browsers send `Origin: null` with every form."""


def guard(blueprint: Blueprint, authority: Authority) -> None:
    """Stands in front of every view."""
    origin = origin_of(authority.config.server.public_url)

    @blueprint.before_request
    def enter() -> Response | None:
        if request.method not in ("GET", "HEAD"):
            demand_own_page(origin)
        return None if request.endpoint in OPEN else _seated(authority)

    @blueprint.after_request
    def dress(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response


def _seated(authority: Authority) -> Response | None:
    """Finds the seat, or leads to where one gets it."""
    try:
        g.seat = take_seat(authority, request.cookies.get(COOKIE, ""))
    except Unauthenticated:
        return go(url_for("ui.sign_in", next=here()))
    g.actor = g.seat.actor
    if request.method not in ("GET", "HEAD"):
        demand_token()
    if request.endpoint not in ENROLLING and g.seat.must_enrol():
        return go(url_for("ui.enrol"))
    return None


def seat() -> Seat:
    """The seat of this request."""
    found: Seat = g.seat
    return found


def seated() -> bool:
    """Whether somebody is signed in at this request."""
    return "seat" in g


# --- posts --------------------------------------------------------------------------------------


def origin_of(url: str) -> str:
    """Scheme, host and port, as browsers send them."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def demand_own_page(origin: str) -> None:
    """Returns for a POST of one of our own pages. Raises `Denied`."""
    if request.headers.get("Origin") != origin:
        raise Denied("This did not come from a page of this UI.", next_step=f"Open {origin}/ui/ and do it there.")


def token() -> str:
    """What each form of a signed-in person carries: made from his cookie, which no other site can read."""
    return hmac.digest(request.cookies.get(COOKIE, "").encode(), b"certwright form", hashlib.sha256).hex()


def demand_token() -> None:
    """Returns when the POST carries the token of this sign-in. Raises `Denied`."""
    given = request.headers.get(TOKEN_HEADER) or request.form.get(TOKEN_FIELD, "")
    if not hmac.compare_digest(given.encode(), token().encode()):
        raise Denied("This form is of another sign-in.", next_step="Load the page again, then repeat it.")


# --- where to -----------------------------------------------------------------------------------


def here() -> str:
    """The page that is asked for; after a POST, the one that it came from is not ours to know: home."""
    return request.full_path.rstrip("?") if request.method == "GET" else url_for("ui.home")


def inside(target: str) -> str:
    """The target if it is a path of this UI, else home: no link of ours leads anywhere else."""
    plain = target.isascii() and target.isprintable() and "\\" not in target and "/../" not in target
    return target if plain and len(target) <= 2000 and target.startswith("/ui/") else url_for("ui.home")


def go(target: str) -> Response:
    """Leads to another page, also out of a part that htmx asked for."""
    if request.headers.get("HX-Request"):
        return Response("", 204, {"HX-Redirect": target})
    answer = redirect(target, 303)
    assert isinstance(answer, Response)
    return answer


# --- the cookie ---------------------------------------------------------------------------------


def client() -> Client:
    """Where this request comes from."""
    return Client(request.remote_addr or "", request.headers.get("User-Agent", ""))


def welcome(opened: Opened, target: str) -> Response:
    """Hands out the cookie of a new sign-in, in place of any other, and leads on."""
    response = go(target)
    response.set_cookie(COOKIE, opened.secret, secure=True, httponly=True, samesite="Lax", path="/")
    return response


def farewell(target: str) -> Response:
    """Takes the cookie back, and with it whatever the browser keeps of these pages."""
    response = go(target)
    response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="Lax", path="/")
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


def field(name: str, most: int = 1000) -> str:
    """A form field, empty when it is not there. Raises `BadRequest` for one over `most` characters."""
    value = request.form.get(name, "")
    if len(value) > most:
        raise BadRequest(f"{name} has more than {most} characters.", next_step="Shorten it.")
    return value
