"""CAs and keys: the tree of issuers with what their certificates say, and each key with the attributes of its token."""

from flask import Blueprint, Response

from ca.authority import Authority
from web.ui import decoded
from web.ui.door import seat
from web.ui.pages import page


def mount(blueprint: Blueprint, _authority: Authority) -> None:
    """The tree and one CA."""

    @blueprint.get("/authorities")
    def authorities() -> Response:
        shown = [(one, decoded.authority(one)) for one in seat().issuers()]
        return page("authorities.html", issuers=shown, keys=seat().keys())

    @blueprint.get("/authorities/<issuer_id>")
    def authority(issuer_id: str) -> Response:
        one = seat().issuer(issuer_id)
        der = one.certificate
        return page("authority.html", one=one, facts=decoded.facts(der), extensions=decoded.extensions(der))
