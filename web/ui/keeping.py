"""Keeping certificates, one or those that were marked in the list: their tags, and handing them over."""

from flask import Blueprint, Response, request, url_for

from ca.authority import Authority, keeping, tags
from ca.errors import BadRequest
from ca.people import Right
from ca.records import serial_hex
from web.ui.certificates import serial_of
from web.ui.door import field, go, seat
from web.ui.pages import page


def mount(blueprint: Blueprint, authority: Authority) -> None:
    """What is asked about those that were marked, and doing it."""

    @blueprint.post("/certificates/keep")
    def keep_some() -> Response:
        seat().demand(Right.KEEP_OWN, fresh=True)  # now rather than when the form is sent: the choice would be lost
        return _asked(authority)

    @blueprint.post("/certificates/hand-over")
    def hand_over() -> Response:
        try:
            keeping.hand_over(authority, seat(), _chosen(), field("team"))
        except BadRequest as error:
            return _asked(authority, 400, error=error)
        return go(_seen(f'owner:"{field("team").strip()}"'))

    @blueprint.post("/certificates/tag")
    def tag() -> Response:
        try:
            change = tags.parse_change(field("put").split(","), field("off").split(","))
            keeping.tag(authority, seat(), _chosen(), change)
        except BadRequest as error:
            return _asked(authority, 400, error=error)
        return go(_seen(f'tag:"{change.set[0]}"' if change.set else ""))


def _asked(authority: Authority, status: int = 200, error: BadRequest | None = None) -> Response:
    """Those that were chosen, and what to do with them; after an error with what was typed."""
    items = keeping.kept(authority, seat(), _chosen())
    hexes = [serial_hex(one.serial) for one in items]
    labels = keeping.tags_of(authority, seat(), items)
    return page("keep_some.html", status, items=items, hexes=hexes, tags=labels, error=error)


def _chosen() -> list[int]:
    return [serial_of(one) for one in request.form.getlist("serial")[:1000]]


def _seen(query: str) -> str:
    """Where the outcome is seen: on the one's page, or in the list of all that have it now."""
    serials = request.form.getlist("serial")
    if len(serials) == 1:
        return url_for("ui.certificate", serial=serial_hex(serial_of(serials[0])))
    return url_for("ui.certificates", q=query)
