"""Home: is the CA well, what ends when, what was issued and what failed; and what stands where no page is."""

from typing import Any

from flask import Blueprint, Response

from ca.authority import Authority
from ca.errors import NotFound
from web.ui import charts
from web.ui.door import seat
from web.ui.pages import page


def mount(blueprint: Blueprint, _authority: Authority) -> None:
    """The first page, and every one that there is not."""

    @blueprint.get("/")
    def home() -> Response:
        found = seat().survey()
        seen: dict[str, Any] = {"lights": seat().lights(), "authorities": seat().authorities()}
        return page("home.html", survey=found, **seen, **charts.pictures(found))

    @blueprint.get("/<path:_unknown>")
    def nowhere(_unknown: str) -> Response:
        raise NotFound("There is no such page.", next_step="Go on from one of the screens above.")
