"""One error family inside, one table outside: `CAError` to `application/problem+json` (RFC 9457).

The ACME blueprint has its own table (RFC 8555 §6.7); this one is for every other door, and for paths that
no blueprint knows.
"""

import json

import structlog
from flask import Flask, Response, g
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES

from ca import errors

STATUS: dict[type[errors.CAError], int] = {
    errors.BadRequest: 400,
    errors.ConfigError: 500,
    errors.NotFound: 404,
    errors.Denied: 403,
    errors.Unauthenticated: 401,
    errors.RateLimited: 429,
    errors.Conflict: 409,
    errors.IdempotencyMismatch: 422,
    errors.Unavailable: 503,
    errors.PossiblySigned: 503,
    errors.Abandoned: 503,
    errors.LintFailed: 422,
    errors.CAError: 500,
}
"""Each class stands for its subclasses too; the nearest ancestor decides. Deny by default: the rest is 500."""

INSIDE: dict[type[errors.CAError], str] = {
    errors.StoreUnavailable: "Try again later.",
    errors.HSMError: "Try again later.",
    errors.SecretUnreadable: "Ask whoever runs this CA; the log names the file.",
    errors.ProviderUnavailable: "Try again later, or sign in another way.",
}
"""Errors whose words name hosts, users and paths of this side: they are for the log (and /ready, asked from here).
Outside it is told what to do next alone."""

CHALLENGE = 'Bearer realm="certwright"'


def status_of(error: errors.CAError) -> int:
    """The HTTP status of an error, by its class or its nearest ancestor in the table."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def install(app: Flask) -> None:
    """Every error of the app leaves as a problem document, never as a page or a traceback."""
    app.register_error_handler(errors.CAError, of_error)
    app.register_error_handler(HTTPException, of_http)
    app.register_error_handler(Exception, of_accident)


def of_error(error: errors.CAError) -> Response:
    """The problem of an expected error. What is wrong on this side is logged, and told without its inside."""
    from web.counters import REFUSED

    status = status_of(error)
    REFUSED.labels(error.code).inc()
    if status == 500:
        structlog.get_logger().error("request.failed", code=error.code, detail=error.detail)
        return problem(500, "Something is wrong on this side; the log tells what.", code=error.code)
    if step := next((INSIDE[kind] for kind in type(error).__mro__ if kind in INSIDE), ""):
        structlog.get_logger().warning("request.unavailable", code=error.code, detail=error.detail)
        answer = problem(status, "This cannot be done now.", code=error.code, next_step=step)
    else:
        answer = problem(status, error.detail, code=error.code, next_step=error.next_step)
    if isinstance(error, errors.RateLimited | errors.Unavailable):
        answer.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, errors.Unauthenticated):
        answer.headers["WWW-Authenticate"] = CHALLENGE
    return answer


def of_http(error: HTTPException) -> Response:
    """The problem of Flask's own errors: unknown path, wrong method, too large, not acceptable."""
    answer = problem(error.code or 500, error.description or "")
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            answer.headers[name] = value
    return answer


def of_accident(_error: Exception) -> Response:
    """The problem of what nobody foresaw; its traceback goes to the log alone."""
    structlog.get_logger().exception("request.failed", code="internal")
    return problem(500, "Something is wrong on this side; the log tells what.", code="internal")


def problem(status: int, detail: str, *, code: str = "", next_step: str = "", **more: object) -> Response:
    """A problem document. `type` is a URN per error code (docs/errors.md), about:blank for plain HTTP errors."""
    body: dict[str, object] = {
        "type": f"urn:certwright:error:{code}" if code else "about:blank",
        "title": code.replace("-", " ") if code else HTTP_STATUS_CODES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "request_id": g.get("request_id", ""),
    }
    body |= {"code": code} if code else {}
    body |= {"next_step": next_step} if next_step else {}
    answer = Response(json.dumps({**body, **more}), status, content_type="application/problem+json")
    answer.headers["Cache-Control"] = "no-store"
    return answer
