"""Certificates: the list with its query box, whose URL is its state; files of it; and revoking a few at once."""

from flask import Blueprint, Response, request, url_for

from ca.authority import Authority, keeping
from ca.authority.revoke import LEAF_REASONS, parse_reason
from ca.errors import BadRequest
from ca.records import REASON_CODES, Page, serial_hex
from web.ui import chips, exports, views
from web.ui.door import field, seat
from web.ui.pages import page

PAGE = 50
MOST = {"csv": 10_000, "json": 10_000, "pem": 1000}
"""Certificates in one file."""

AT_ONCE = 10
"""Certificates that one person revokes in one go."""

REASONS = tuple(str(one) for one in sorted(LEAF_REASONS, key=REASON_CODES.__getitem__))


def mount(blueprint: Blueprint, authority: Authority) -> None:
    """The list, and what is done with it."""

    @blueprint.get("/certificates")
    def certificates() -> Response:
        return _listed(authority, request.args.get("q", ""))

    @blueprint.get("/certificates/export.<kind>")
    def export(kind: str) -> Response:
        return _file(authority, request.args.get("q", ""), kind)

    @blueprint.post("/certificates/revoke")
    def revoke_some() -> Response:
        serials = [serial_of(one) for one in request.form.getlist("serial")[:1000]]
        if field("sure") != str(len(serials)):
            return _asked(serials)
        done = seat().revoke_some(serials, parse_reason(field("reason")), field("comment"), AT_ONCE)
        return page("revoked.html", done=done)


def _listed(authority: Authority, text: str) -> Response:
    error, found = None, Page((), "")
    try:
        found = seat().find(chips.parse(text), request.args.get("after", "")[:200], PAGE)
    except BadRequest as wrong:
        error = wrong
    values = {"items": found.items, "following": found.next, "q": text[: chips.LONGEST], "error": error}
    saved = () if "HX-Request" in request.headers else views.offered(authority)
    tags = keeping.tags_of(authority, seat(), found.items)
    return page(
        "certificates.html", 400 if error else 200, chips=chips.suggestions(text), tags=tags, views=saved, **values
    )


def _file(authority: Authority, text: str, kind: str) -> Response:
    if kind not in exports.KINDS:
        raise BadRequest(f"There is no file of the kind {kind[:20]!r}.", next_step="Ask for csv, json or pem.")
    write, content_type = exports.KINDS[kind]
    found, whole = seat().find_all(chips.parse(text), MOST[kind])
    response = Response(
        write(found, keeping.tags_of(authority, seat(), found), seat().now()), content_type=content_type
    )
    response.headers["Content-Disposition"] = f'attachment; filename="certificates.{kind}"'
    response.headers["X-Complete"] = "yes" if whole else f"no: the first {len(found)}"
    return response


def _asked(serials: list[int]) -> Response:
    """The question before revoking: which they are, why, and how many, typed by hand."""
    if not serials:
        raise BadRequest("No certificate is chosen.", next_step="Mark some in the list first.")
    chosen = [seat().certificate(serial) for serial in serials[:AT_ONCE]]
    more = len(serials) - len(chosen)
    hexes = [serial_hex(one) for one in serials]
    return page("revoke_some.html", chosen=chosen, more=more, most=AT_ONCE, reasons=REASONS, hexes=hexes)


def serial_of(text: str) -> int:
    """A serial as our pages write it. Raises `BadRequest`."""
    try:
        return int(text[:80], 16)
    except ValueError:
        raise BadRequest(f"{text[:80]!r} is no serial.", next_step=f"See {url_for('ui.certificates')}.") from None
