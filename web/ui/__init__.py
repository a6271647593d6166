"""The web UI: `door` says who comes in, each screen is a module of its own, `pages` renders, `assets` serves files.

A view is three lines: read, call, render. What a person may do is decided at his seat (`ca.authority.seat`).
"""

from flask import Blueprint, Flask

from ca.authority import Authority
from web.ui import (
    account,
    acme,
    approvals,
    assets,
    audit,
    by_certificate,
    certificate,
    certificates,
    connect,
    credentials,
    door,
    hierarchy,
    home,
    jobs,
    keeping,
    notices,
    pages,
    people,
    profiles,
    publication,
    reports,
    revocations,
    signing_in,
    views,
)

SCREENS = (
    *(signing_in, by_certificate, home, certificates, certificate, keeping, views, revocations, profiles, acme),
    *(connect, credentials, hierarchy, publication, reports, jobs, notices, audit, approvals, people, account),
)


def mount(app: Flask, authority: Authority) -> None:
    """Opens the UI's doors under /ui."""
    blueprint = Blueprint("ui", __name__, template_folder=str(pages.TEMPLATES))
    door.guard(blueprint, authority)
    pages.install(blueprint, authority)
    assets.mount(blueprint)
    for screen in SCREENS:
        screen.mount(blueprint, authority)
    app.register_blueprint(blueprint, url_prefix="/ui")
