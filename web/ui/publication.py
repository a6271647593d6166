"""CRL and OCSP: what is published, how fresh it is, and what waits."""

from flask import Blueprint, Response

from ca.authority import Authority
from web.ui.door import seat
from web.ui.pages import page


def mount(blueprint: Blueprint, _authority: Authority) -> None:
    """The one page."""

    @blueprint.get("/publication")
    def publication() -> Response:
        return page("publication.html", found=seat().publication())
