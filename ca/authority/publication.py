"""What is published, as one page shows it: CRLs with their freshness, responders, and what waits."""

from dataclasses import dataclass

from ca.authority.desk import Desk
from ca.authority.targets import Standing, standing
from ca.errors import NotFound
from ca.records import Responder
from ca.store.survey import Published

MOST_WAITING = 1000


@dataclass(frozen=True, slots=True)
class State:
    """`waiting` counts OCSP answers that are due, up to a thousand; `stale` CRLs with news.

    `targets` are the places besides the publication folder, as this node knows them.
    """

    crls: tuple[Published, ...]
    responders: tuple[Responder, ...]
    waiting: int
    stale: int
    status_url: str
    targets: tuple[Standing, ...]


def publication(desk: Desk) -> State:
    """The state of publication now."""
    with desk.store.reading():
        return State(
            crls=desk.store.published("crl/"),
            responders=_responders(desk),
            waiting=desk.store.count_late(desk.clock(), MOST_WAITING),
            stale=desk.store.count_stale(),
            status_url=desk.config.server.status_url,
            targets=standing(desk),
        )


def _responders(desk: Desk) -> tuple[Responder, ...]:
    found = []
    for issuer in desk.store.issuers():
        try:
            found.append(desk.store.responder(issuer.id))
        except NotFound:
            continue
    return tuple(found)
