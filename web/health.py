"""`/health`, `/ready` and `/metrics`: how machines and operators ask whether all is well."""

import hmac
import json
import time
from pathlib import Path
from threading import Lock

from flask import Blueprint, Response, current_app, request

from ca.authority import Authority, Check
from ca.config import Config
from ca.errors import Unauthenticated
from web import metrics
from web.requests import from_loopback

KEPT_SECONDS = 1.0
"""How long a readiness answer is kept, so that nobody loads the signer by asking."""


class Readiness:
    """The health checks of the authority, run at most once a second however many ask."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._lock = Lock()
        self._until = 0.0
        self._checks: tuple[Check, ...] = ()

    def checks(self) -> tuple[Check, ...]:
        """Every check, a second old at most; while one thread asks a slow signer, the others get the last answer."""
        if not self._lock.acquire(blocking=not self._checks):
            return self._checks
        try:
            if time.monotonic() >= self._until:
                self._checks = self._authority.health()
                self._until = time.monotonic() + KEPT_SECONDS
            return self._checks
        finally:
            self._lock.release()


def blueprint(authority: Authority) -> Blueprint:
    """The three doors."""
    doors = Blueprint("health", __name__)
    readiness = Readiness(authority)
    config = authority.config

    @doors.get("/health")
    def health() -> Response:
        return _json(200, {"status": "alive"})

    @doors.get("/ready")
    def ready() -> Response:
        checks = readiness.checks()
        well = all(check.ok for check in checks)
        body: dict[str, object] = {"status": "ready" if well else "not ready"}
        if may_look(config):
            body["checks"] = [_shown(check) for check in checks]
        return _json(200 if well else 503, body)

    @doors.get("/metrics")
    def exposition() -> Response:
        if not may_look(config):
            raise Unauthenticated("Metrics are for this machine or a bearer token.", next_step="See docs/metrics.md.")
        body, kind = metrics.exposition(config, request.headers.get("Accept", ""), current_app)
        return Response(body, content_type=kind, headers={"Cache-Control": "no-store"})

    return doors


def may_look(config: Config) -> bool:
    """Whether the asker is this machine itself, or holds the token of `server.metrics_token_file`."""
    if from_loopback():
        return True
    if config.server.metrics_token_file is None:
        return False
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    expected = _token(config.path(config.server.metrics_token_file))
    return scheme.lower() == "bearer" and bool(expected) and hmac.compare_digest(given.encode(), expected)


def _token(path: Path) -> bytes:
    """The token in the file, or nothing, which opens nothing."""
    try:
        return path.read_bytes().strip()
    except OSError:
        return b""


def _shown(check: Check) -> dict[str, object]:
    shown: dict[str, object] = {"name": check.name, "ok": check.ok}
    return shown if check.ok else {**shown, "detail": check.detail, "next_step": check.next_step}


def _json(status: int, body: object) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(json.dumps(body), status, headers, content_type="application/json")
