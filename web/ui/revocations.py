"""Revocations: how long each took until it was seen from outside, mass revocations on their way, and proposing one."""

from collections.abc import Callable
from functools import partial

from flask import Blueprint, Response, request, url_for

from ca.authority import Authority
from ca.authority.masses import SPARED
from ca.authority.revoke import parse_reason
from ca.errors import BadRequest
from ca.records import Certificate, Query, Reason
from web.ui import chips
from web.ui.certificates import REASONS
from web.ui.door import field, go, seat
from web.ui.pages import page


def mount(blueprint: Blueprint, _authority: Authority) -> None:
    """The queue, and the form for many at once."""

    @blueprint.get("/revocations")
    def revocations() -> Response:
        return page("revocations.html", watches=seat().stopwatches(), masses=seat().masses())

    @blueprint.get("/revocations/new")
    def many() -> Response:
        return _asked(request.args.get("q", ""))

    @blueprint.post("/revocations/new")
    def propose_many() -> Response:
        return _put(seat().propose_revocation)

    @blueprint.post("/revocations/new/alone")
    def revoke_alone() -> Response:
        return _put(partial(seat().revoke_alone, why=field("why")))

    @blueprint.post("/revocations/<mass_id>/stop")
    def stop_mass(mass_id: str) -> Response:
        seat().stop_mass(mass_id)
        return go(url_for("ui.revocations"))


def _put(do: Callable[[Query, Reason, str, str], str]) -> Response:
    """Has the form's query proposed, or done: `do` answers the proposal's id."""
    text = field("q")
    try:
        found = do(chips.parse(text), parse_reason(field("reason")), field("comment"), field("sure"))
    except BadRequest as error:
        return _asked(text, error)
    return go(url_for("ui.proposal", proposal_id=found))


def _asked(text: str, error: BadRequest | None = None) -> Response:
    found: tuple[int, tuple[Certificate, ...]] = (0, ())
    spared = False
    try:
        query = chips.parse(text)
        found, spared = seat().preview_revocation(query), seat().spares(query)
    except BadRequest as wrong:
        error = error or wrong
    values = {"q": text[: chips.LONGEST], "total": found[0], "sample": found[1], "reasons": REASONS}
    values["spared"] = SPARED if spared else ""
    return page("revoke_many.html", 400 if error else 200, error=error, **values)
