"""Where a client begins: the directory (RFC 8555 §7.1.1) and newNonce (§7.2)."""

from acme_server import payloads, resources
from acme_server.desk import Answer, Asked, Desk
from ca.errors import NotFound


def show(desk: Desk, asked: Asked, profile: str = "") -> Answer:
    """The directory of the default profile, or of an offered one. Raises `NotFound`."""
    payloads.demand_empty(asked.payload)
    demand_profile(desk, profile)
    described = {name: desk.authority.profile(name).description for name in desk.config.acme.profiles}
    members = resources.directory(desk.config, desk.urls, described, profile)
    return Answer(members, headers={"Access-Control-Allow-Origin": "*", "Cache-Control": "no-cache"})


def nonce(_desk: Desk, asked: Asked) -> Answer:
    """Nothing but a nonce, which the door puts into the head."""
    payloads.demand_empty(asked.payload)
    return Answer(status=200 if asked.method == "HEAD" else 204, headers={"Cache-Control": "no-store"})


def demand_profile(desk: Desk, profile: str) -> str:
    """The name of the profile meant by a directory; empty is the default. Raises `NotFound` for one not offered."""
    offered = desk.config.acme.profiles
    if profile and profile not in offered:
        raise NotFound(f"ACME offers no profile {profile[:60]!r}.", next_step=f"It offers {', '.join(offered)}.")
    return profile or offered[0]
