"""Notices: the channels by which people are told, what they were told, and trying a channel."""

from typing import Any

from flask import Blueprint, Response

from ca.authority import Authority, notices
from web.ui.door import seat
from web.ui.pages import page


def mount(blueprint: Blueprint, authority: Authority) -> None:
    """The page and its button."""

    @blueprint.get("/notices")
    def told() -> Response:
        return _listed(authority)

    @blueprint.post("/notices/<channel>/test")
    def try_channel(channel: str) -> Response:
        return _listed(authority, tried=notices.try_by(authority, seat(), channel))


def _listed(authority: Authority, **more: Any) -> Response:
    channels, found = notices.listed(authority, seat())
    return page("notices.html", channels=channels, notices=found, **more)
