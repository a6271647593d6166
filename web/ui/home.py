"""Home: is the CA well, what expires, what was issued."""

from flask import Blueprint, Response

from ca.authority import Authority
from web.ui.door import seat
from web.ui.pages import page


def mount(blueprint: Blueprint, _authority: Authority) -> None:
    """The first page."""

    @blueprint.get("/")
    def home() -> Response:
        return page("home.html", lights=seat().lights())
