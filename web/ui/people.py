"""People: who may sign in, and letting somebody in or changing roles, which a second person approves."""

from flask import Blueprint, Response, request, url_for

from ca.authority import Authority, bindings
from ca.errors import BadRequest, Conflict
from web.ui.door import field, go, seat
from web.ui.pages import page


def mount(blueprint: Blueprint, authority: Authority) -> None:
    """The list and its forms."""

    @blueprint.get("/people")
    def people() -> Response:
        return _listed(authority)

    @blueprint.post("/people")
    def propose_person() -> Response:
        try:
            found = seat().propose_person(field("name").strip(), tuple(request.form.getlist("role")), _teams())
        except (BadRequest, Conflict) as error:
            return _listed(authority, error)
        return go(url_for("ui.proposal", proposal_id=found))

    @blueprint.post("/people/<name>/disable")
    def disable(name: str) -> Response:
        seat().disable(name)
        return go(url_for("ui.people"))

    @blueprint.post("/people/<name>/enable")
    def enable(name: str) -> Response:
        seat().enable(name)
        return go(url_for("ui.people"))

    @blueprint.post("/people/<name>/certificates/<sha256>/unbind")
    def unbind_certificate(name: str, sha256: str) -> Response:
        bindings.unbind_of(authority, seat(), name, sha256)
        return go(url_for("ui.people"))


def _teams() -> tuple[str, ...]:
    return tuple(team.strip() for team in field("teams").split(",") if team.strip())


def _listed(authority: Authority, error: BadRequest | Conflict | None = None) -> Response:
    found = {"people": seat().people(), "roles": seat().roles(), "certificates": bindings.everybodys(authority, seat())}
    return page("people.html", 400 if error else 200, error=error, **found)
