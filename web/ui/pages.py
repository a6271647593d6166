"""Rendering: what every template knows, how values look, and the page of an error.

Values that people or certificates brought are text, always: autoescape is on, nothing is marked safe but our own SVG,
and characters that would change how a line reads (bidi controls, NUL) are shown by name.
"""

from pathlib import Path
from typing import Any

from flask import Blueprint, Response, g, render_template, request, url_for
from markupsafe import Markup

from ca.authority import Authority, approving
from ca.authority.deeds import words
from ca.authority.masses import query_text
from ca.clock import rfc3339
from ca.errors import CAError, StepUpNeeded
from ca.people import Right
from ca.printable import printable
from ca.records import serial_hex
from ca.weakening import legible
from web import problems
from web.ui import assets, door

_WEB = Path(__file__).parents[1]
TEMPLATES = next(
    folder for folder in (_WEB / "templates", _WEB.parent / "templates") if (folder / "base.html").is_file()
)
"""Inside the installed package, or at the top of the checkout."""

LONGEST = 300
"""Characters of one value on a page; what is longer is cut, with its length."""

SCREENS: tuple[tuple[str, str, str], ...] = (
    ("ui.home", "Home", "see"),
    ("ui.certificates", "Certificates", "see"),
    ("ui.revocations", "Revocations", "see"),
    ("ui.issue", "Issue and test", "see"),
    ("ui.orders", "ACME", "see"),
    ("ui.connect", "Connect a client", "see"),
    ("ui.credentials", "Tokens, bindings", "see"),
    ("ui.profiles", "Profiles", "see"),
    ("ui.authorities", "CAs and keys", "see"),
    ("ui.publication", "CRL and OCSP", "see"),
    ("ui.reports", "Reports", "see"),
    ("ui.jobs", "Jobs", "see"),
    ("ui.told", "Notices", "see"),
    ("ui.audit", "Audit", "see-journal"),
    ("ui.approvals", "Approvals", "see-people"),
    ("ui.people", "People", "see-people"),
)
"""The rail: endpoint, word, and the right without which it is left out."""

THEMES = ("auto", "light", "dark")
THEME_COOKIE = "certwright-theme"


def install(blueprint: Blueprint, authority: Authority) -> None:
    """What templates know, and pages for errors."""
    clock = authority.clock

    @blueprint.app_template_filter("when")
    def when(at: int) -> Markup:
        return time(at, clock())

    blueprint.app_template_filter("shown")(shown)
    blueprint.app_template_filter("span")(span)
    blueprint.app_template_filter("hex")(serial_hex)
    blueprint.app_template_filter("words")(words)
    blueprint.app_template_filter("setting")(legible)
    blueprint.app_template_filter("selection")(query_text)

    @blueprint.context_processor
    def around() -> dict[str, object]:
        return {
            "asset": assets.url,
            "seat": g.get("seat"),
            "may": _may,
            "token": door.token,
            "theme": theme(),
            "themes": THEMES,
            "screens": SCREENS,
            "waiting": approving.waiting(authority, door.seat()) if door.seated() else (),
            "now": clock(),
            "demo": authority.config.mode == "demo",
            "in_part": "HX-Request" in request.headers,
        }

    blueprint.register_error_handler(CAError, of_error)


def page(template: str, status: int = 200, **values: Any) -> Response:
    """A page, or for htmx the part of it that changed (the template looks at `in_part`)."""
    response = Response(render_template(template, **values), status, content_type="text/html; charset=utf-8")
    response.headers["Vary"] = "HX-Request, Cookie"
    return response


def of_error(error: CAError) -> Response:
    """The page of an error: what happened, and what to do. A missing fresh proof leads to where it is given."""
    if isinstance(error, StepUpNeeded):
        return door.go(url_for("ui.confirm", next=_back()))
    said = problems.of_error(error)
    if request.accept_mimetypes.best == said.mimetype:  # a script asked, which tells it where it stands
        return said
    response = page("problem.html", said.status_code, problem=said.get_json(force=True))
    if "Retry-After" in said.headers:
        response.headers["Retry-After"] = said.headers["Retry-After"]
    return response


def _back() -> str:
    """Where a form was: pages name it in `_from`, since forms post to other addresses than their own."""
    return door.inside(request.form.get("_from", "")) if request.method == "POST" else door.here()


def _may(right: str) -> bool:
    return "seat" in g and door.seat().may(Right(right))


def theme() -> str:
    """The chosen colours; empty for those of the system."""
    chosen = request.cookies.get(THEME_COOKIE, "")
    return chosen if chosen in THEMES[1:] else ""


# --- how values look ----------------------------------------------------------------------------


def shown(value: object, most: int = LONGEST) -> str:
    """Text that reads as it is: control and direction characters by their code, long values cut with their length."""
    text = str(value)
    cut = text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"
    return "\n".join(line if line.isprintable() else printable(line, also="\u00a0") for line in cut.split("\n"))


def time(at: int, now: int) -> Markup:
    """A time for people: how long ago or ahead, and the UTC beside it."""
    if not at:
        return Markup("–")
    utc = rfc3339(at)
    short = utc[:16].replace("T", " ")
    return Markup('<time datetime="{}">{}<span class="utc">{} UTC</span></time>').format(utc, relative(at - now), short)


def relative(seconds: int) -> str:
    """`in 3 days`, `5 min ago`."""
    if abs(seconds) < 5:
        return "now"
    return f"in {span(seconds)}" if seconds > 0 else f"{span(-seconds)} ago"


_UNITS = ((86400 * 365, "years"), (86400, "days"), (3600, "h"), (60, "min"), (1, "s"))


def span(seconds: float) -> str:
    """A duration in its largest unit that counts at least two of it; the smallest are seconds with a tenth."""
    if seconds < 2:
        return f"{seconds:.1f} s"
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def svg(text: str) -> Markup:
    """SVG of our own making, whose values were escaped where it was made."""
    return Markup(text)  # noqa: S704 - see above
