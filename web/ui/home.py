"""Home: is the CA well, what ends when, what was issued and what failed."""

from typing import Any

from flask import Blueprint, Response

from ca.authority import Authority
from web.ui import charts
from web.ui.door import seat
from web.ui.pages import page


def mount(blueprint: Blueprint, _authority: Authority) -> None:
    """The first page."""

    @blueprint.get("/")
    def home() -> Response:
        found = seat().survey()
        seen: dict[str, Any] = {"lights": seat().lights(), "authorities": seat().authorities()}
        return page("home.html", survey=found, **seen, **charts.pictures(found))
