"""Saved views: queries of the certificates screen under a name, own and shared ones, and keeping them."""

from typing import Any

from flask import Blueprint, Response, request, url_for

from ca.authority import Authority, views
from ca.errors import BadRequest, Conflict
from ca.people import SavedView
from web.ui import chips
from web.ui.door import field, go, seat
from web.ui.pages import page


def mount(blueprint: Blueprint, authority: Authority) -> None:
    """The page of the own views, and its forms."""

    @blueprint.get("/views")
    def saved() -> Response:
        return _listed(authority, typed={"query": request.args.get("q", "")[: chips.LONGEST]})

    @blueprint.post("/views")
    def save_view() -> Response:
        try:
            view = views.save(authority, seat(), field("name"), _query(), field("team"))
        except (BadRequest, Conflict) as error:
            return _listed(authority, 400, error=error, typed=request.form)
        return go(url_for("ui.certificates", q=view.query))

    @blueprint.post("/views/<view_id>")
    def change_view(view_id: str) -> Response:
        try:
            views.change(authority, seat(), view_id, field("name"), _query(), field("team"))
        except (BadRequest, Conflict) as error:
            return _listed(authority, 400, error=error)
        return go(url_for("ui.saved"))

    @blueprint.post("/views/<view_id>/delete")
    def delete_view(view_id: str) -> Response:
        views.delete(authority, seat(), view_id)
        return go(url_for("ui.saved"))


def offered(authority: Authority) -> tuple[SavedView, ...]:
    """All that stand above the list: his own, then those of his teams."""
    return views.own(authority, seat()) + views.shared(authority, seat())


def _query() -> str:
    """The query of the form, which this release understands. Raises `BadRequest`."""
    text = field("query")
    chips.parse(text)
    return text


def _listed(authority: Authority, status: int = 200, **more: Any) -> Response:
    found = [(one, _trouble(one.query)) for one in views.own(authority, seat())]
    return page("views.html", status, views=found, shared=views.shared(authority, seat()), **{"typed": {}, **more})


def _trouble(query: str) -> str:
    """Why a query that was saved once is none any more; empty when it is one."""
    try:
        chips.parse(query)
    except BadRequest as error:
        return str(error)
    return ""
