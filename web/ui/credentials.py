"""Credentials of machines: bearer tokens of the API and external account bindings of ACME; and ending one."""

from flask import Blueprint, Response, url_for

from acme_server import overview
from ca.authority import Authority
from web.ui.door import go, seat
from web.ui.pages import page


def mount(blueprint: Blueprint, authority: Authority) -> None:
    """Both lists."""

    @blueprint.get("/credentials")
    def credentials() -> Response:
        return page("credentials.html", tokens=seat().tokens(), bindings=overview.credentials(authority, seat()))

    @blueprint.post("/credentials/tokens/<token_id>/end")
    def end_token(token_id: str) -> Response:
        seat().revoke_token(token_id)
        return go(url_for("ui.credentials"))

    @blueprint.post("/credentials/bindings/<credential_id>/end")
    def end_binding(credential_id: str) -> Response:
        overview.revoke_credential(authority, seat(), credential_id)
        return go(url_for("ui.credentials"))
