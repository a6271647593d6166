"""The application factory: which doors a web process opens, and what is around all of them."""

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

from flask import Flask

import acme_server
from acme_server.urls import PREFIX
from ca.authority import Authority
from ca.errors import ConfigError
from ca.loading import uncollected
from web import health, metrics, problems, requests
from web.gate import Application, Environ

FACES = frozenset({"acme", "api", "ui"})
"""Doors that a process may open."""

_EVERYWHERE = ("web.counted", "prometheus_flask_exporter")
_BEHIND: Mapping[str, str] = {"acme": "acme_server.door", "api": "web.api", "ui": "web.ui"}

MAX_BODY = 256 * 1024
"""Octets of a request's body: the largest CSR in base64 and JSON, with room."""


def load(faces: frozenset[str]) -> None:
    """Imports what `create_app` will import for these doors. Call it after `web.metrics.prepare`.

    Before workers are forked, it is done once for all of them, and for those that replace them.
    """
    with uncollected():
        for name in (*_EVERYWHERE, *(_BEHIND[face] for face in sorted(faces & FACES))):
            import_module(name)


def create_app(authority: Authority, faces: frozenset[str]) -> Flask:
    """The Flask application over an authority, with the doors in `faces`; health and metrics are always there.

    Raises `ConfigError` for an unknown face.
    """
    if faces - FACES:
        raise ConfigError(
            f"There is no face {', '.join(sorted(faces - FACES))}.",
            next_step=f"Use some of {', '.join(sorted(FACES))}.",
        )
    from web.counted import counted  # counters are made where they are first imported: see `web.metrics.prepare`

    authority = counted(authority)
    app = _flask(faces)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.url_map.strict_slashes = False
    metrics.observe(app)
    problems.install(app)
    app.register_blueprint(health.blueprint(authority))
    if "acme" in faces:
        _put_before(app, PREFIX, metrics.timed(acme_server.application(authority)))
    if "ui" in faces:
        from web import ui

        ui.mount(app, authority)
    if "api" in faces:
        from web import api

        api.mount(app, authority)
    requests.install(app, authority.config)
    return app


def _put_before(app: Flask, prefix: str, front: Application) -> None:
    """Requests below a prefix go to an application of their own, all others to Flask as before."""
    behind = app.wsgi_app

    def choose(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        chosen = front if environ["PATH_INFO"].startswith(f"{prefix}/") else behind
        return chosen(environ, start_response)

    app.wsgi_app = choose  # type: ignore[method-assign]


def _flask(faces: frozenset[str]) -> Flask:
    """APIFlask costs a quarter of a second to import: only where the API is a door."""
    if "api" not in faces:
        return Flask("web", static_folder=None)
    from web.api import make_app

    return make_app()
