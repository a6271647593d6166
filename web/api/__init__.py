"""The REST API: APIFlask and pydantic, an OpenAPI 3.1 document at `/api/openapi.json`.

Imported only where it is a door: APIFlask costs a quarter of a second.
"""

from apiflask import APIFlask
from apiflask.exceptions import HTTPError
from flask import Flask

from ca.authority import Authority
from web.api import certificates, publications, revocations, spec

VERSION = "1.0.0"
"""Of the API, not of the product: rises with what clients can rely on."""

TOKEN = {"type": "http", "scheme": "bearer", "description": "cw_…, made by 'certwright token create'"}


def make_app() -> Flask:
    """The Flask application that `mount` can be used on."""
    app = APIFlask(
        "web",
        title="Certwright API",
        version=VERSION,
        spec_path="/api/openapi.json",
        docs_path=None,
        json_errors=False,
        static_folder=None,  # type: ignore[arg-type]
    )
    app.config.update(
        OPENAPI_VERSION="3.1.0",
        AUTO_VALIDATION_ERROR_RESPONSE=False,
        AUTO_AUTH_ERROR_RESPONSE=False,
        AUTO_404_RESPONSE=False,
        AUTO_200_RESPONSE=False,
        AUTO_SERVERS=False,
        SECURITY_SCHEMES={"token": TOKEN},
    )
    app.register_error_handler(spec.InvalidRequest, spec.of_invalid)
    app.register_error_handler(HTTPError, spec.of_apiflask)
    return app


def mount(app: Flask, authority: Authority) -> None:
    """Opens the API's doors on an application of `make_app`; register every other blueprint before."""
    assert isinstance(app, APIFlask)
    for other in app.blueprints.values():
        vars(other).setdefault("enable_openapi", False)  # APIFlask asks every blueprint, also the plain ones
    app.servers = [{"url": authority.config.server.public_url}]
    app.spec_processor(spec.complete)
    app.register_blueprint(certificates.blueprint(authority), url_prefix="/api/v1/certificates")
    app.register_blueprint(revocations.blueprint(authority), url_prefix="/api/v1/revocations")
    app.register_blueprint(publications.blueprint(authority), url_prefix="/api/v1/publications")
