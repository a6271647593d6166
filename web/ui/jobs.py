"""Jobs: when each ran, for how long, with what outcome; and running one out of turn."""

from typing import Any

from flask import Blueprint, Response

from ca.authority import Authority
from web.ui.door import seat
from web.ui.pages import page


def mount(blueprint: Blueprint, _authority: Authority) -> None:
    """The table and its button."""

    @blueprint.get("/jobs")
    def jobs() -> Response:
        return _listed()

    @blueprint.post("/jobs/<name>/run")
    def run_job(name: str) -> Response:
        return _listed(done=seat().run_job(name))


def _listed(**more: Any) -> Response:
    return page("jobs.html", runs=seat().runs(), errands=seat().errands(), **more)
