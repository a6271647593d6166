"""Approvals: what waits for a second person, what became of the rest, and deciding by a passkey."""

from flask import Blueprint, Response, url_for

from ca.authority import Authority
from web.ui.door import field, go, seat
from web.ui.pages import page


def mount(blueprint: Blueprint, _authority: Authority) -> None:
    """The list, one proposal, and the two answers to it."""

    @blueprint.get("/approvals")
    def approvals() -> Response:
        return page("approvals.html", proposals=seat().proposals())

    @blueprint.get("/approvals/<proposal_id>")
    def proposal(proposal_id: str) -> Response:
        return _one(proposal_id)

    @blueprint.post("/approvals/<proposal_id>/options")
    def approve_options(proposal_id: str) -> Response:
        return Response(seat().approve_options(proposal_id), content_type="application/json")

    @blueprint.post("/approvals/<proposal_id>/approve")
    def approve(proposal_id: str) -> Response:
        seat().approve(proposal_id, field("response", 65536))
        return go(url_for("ui.proposal", proposal_id=proposal_id))

    @blueprint.post("/approvals/<proposal_id>/refuse")
    def refuse(proposal_id: str) -> Response:
        seat().refuse(proposal_id)
        return go(url_for("ui.proposal", proposal_id=proposal_id))


def _one(proposal_id: str) -> Response:
    one = seat().proposal(proposal_id)
    return page("proposal.html", one=one, mine=one.proposed_by == seat().person.id, passkeys=seat().passkeys())
