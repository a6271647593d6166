"""Approvals: what waits for a second person, what became of the rest, and deciding by a passkey."""

from flask import Blueprint, Response, url_for

from ca.authority import Authority, approving
from web.ui.door import field, go, seat
from web.ui.pages import page


def mount(blueprint: Blueprint, authority: Authority) -> None:
    """The list, one proposal, and the two answers to it."""

    @blueprint.get("/approvals")
    def approvals() -> Response:
        return page("approvals.html", proposals=approving.every(authority, seat()))

    @blueprint.get("/approvals/<proposal_id>")
    def proposal(proposal_id: str) -> Response:
        one = approving.one(authority, seat(), proposal_id)
        return page("proposal.html", one=one, mine=one.is_by(seat().person.id), passkeys=seat().passkeys())

    @blueprint.post("/approvals/<proposal_id>/options")
    def approve_options(proposal_id: str) -> Response:
        return Response(approving.options(authority, seat(), proposal_id), content_type="application/json")

    @blueprint.post("/approvals/<proposal_id>/approve")
    def approve(proposal_id: str) -> Response:
        approving.approve(authority, seat(), proposal_id, field("response", 65536))
        return go(url_for("ui.proposal", proposal_id=proposal_id))

    @blueprint.post("/approvals/<proposal_id>/refuse")
    def refuse(proposal_id: str) -> Response:
        approving.refuse(authority, seat(), proposal_id)
        return go(url_for("ui.proposal", proposal_id=proposal_id))
