"""Keeping certificates, one or those that were marked in the list: handing them over to another team."""

from flask import Blueprint, Response, request, url_for

from ca.authority import Authority, owners
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
        items = owners.kept(authority, seat(), _chosen())
        return page("keep_some.html", items=items, hexes=[serial_hex(one.serial) for one in items])

    @blueprint.post("/certificates/hand-over")
    def hand_over() -> Response:
        team = field("team")
        owners.hand_over(authority, seat(), _chosen(), team)
        return go(_seen(f'owner:"{team.strip()}"'))


def _chosen() -> list[int]:
    return [serial_of(one) for one in request.form.getlist("serial")[:1000]]


def _seen(query: str) -> str:
    """Where the outcome is seen: on the one's page, or in the list of all that have it now."""
    serials = request.form.getlist("serial")
    if len(serials) == 1:
        return url_for("ui.certificate", serial=serial_hex(serial_of(serials[0])))
    return url_for("ui.certificates", q=query)
