"""`GET /api/v1/publications`: the feed that a status-only node follows. It holds what is public anyway, signed."""

import time
from threading import BoundedSemaphore

from apiflask import APIBlueprint

from ca.authority import Authority
from ca.records import Publication
from web.api import models, spec
from web.signin import bearer

LOOK_EVERY = 0.5
"""Seconds between two looks into the database while someone waits."""


def blueprint(authority: Authority) -> APIBlueprint:
    """The feed under a URL prefix of the app's choice."""
    doors = APIBlueprint("publications", __name__, tag="Publications")
    waiting = BoundedSemaphore(max(1, authority.config.server.threads // 2))

    @doors.before_request
    def authenticate() -> None:
        bearer(authority)

    @doors.get("")
    @doors.input(models.PublicationQuery, location="query", arg_name="query")
    @doors.output(models.PublicationsOut)
    @doors.doc(summary="Follow publications", operation_id="follow", responses=spec.problems(422), security="token")
    def follow(query: models.PublicationQuery) -> dict[str, object]:
        found = _after(authority, query, waiting)
        return {
            "items": [models.publication_out(one) for one in found],
            "after": found[-1].seq if found else query.after,
            "last": authority.store.last_seq(),
        }

    return doors


def _after(authority: Authority, query: models.PublicationQuery, waiting: BoundedSemaphore) -> tuple[Publication, ...]:
    """What is new, after waiting for it; half of the threads wait at most, the others' askers are told at once."""
    found = authority.store.after(query.after, query.limit)
    if found or not query.wait or not waiting.acquire(blocking=False):
        return found
    try:
        until = time.monotonic() + query.wait
        while not found and time.monotonic() < until:
            time.sleep(LOOK_EVERY)
            found = authority.store.after(query.after, query.limit)
        return found
    finally:
        waiting.release()
