"""People of the UI: invited by name, with roles and teams; they enrol by a one-time link, and nobody enrols for them.

Who has the service's host makes links (`certwright user link`), as he makes tokens: the journal tells of each.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass, replace

from ca.authority.desk import Desk
from ca.errors import BadRequest, Conflict, NotFound
from ca.people import Person, parse_roles
from ca.records import Actor, Event

LINK_LIFE = 900
"""Seconds in which a sign-in link must be used."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")


@dataclass(frozen=True, slots=True)
class Link:
    """A one-time sign-in link; its token stands in the fragment, which no server and no log ever sees."""

    person: str
    url: str
    expires_at: int


def invite(
    desk: Desk, name: str, roles: tuple[str, ...], teams: tuple[str, ...], actor: Actor, subject: str = ""
) -> Person:
    """Lets somebody sign in, with a `subject` by the provider. Raises `BadRequest` for name or role, `Conflict` for a
    name that was ever taken.
    """
    check_name(name)
    now = desk.clock()
    person = Person(
        name,
        parse_roles(roles, desk.config.every_role),
        check_teams(teams),
        now,
        str(actor),
        now,
        str(actor),
        subject=subject,
    )
    try:
        with desk.store.transaction():
            desk.store.add_person(person)
            desk.journal.append(_event("user.invited", actor, person))
    except Conflict:
        raise Conflict(
            f"The name {name} is taken, or was once.", next_step="See 'certwright user list', or choose another."
        ) from None
    return person


def make_link(desk: Desk, name: str, actor: Actor) -> Link:
    """A link by which that person signs in once, within 15 minutes; older ones end. Raises `NotFound`, `Conflict`."""
    person = desk.store.person(name)
    if person.subject:
        raise Conflict(f"{name} signs in at the provider.", next_step="Put him into a group there.")
    if person.disabled_at:
        raise Conflict(f"{name} is shut out.", next_step=f"Let him in again: certwright user enable {name}")
    token = secrets.token_urlsafe(32)
    now = desk.clock()
    with desk.store.transaction():
        desk.store.add_link(name, digest(token), now, now + LINK_LIFE)
        desk.journal.append(Event("user.link-made", actor, f"user:{name}", detail={"expires_at": now + LINK_LIFE}))
    return Link(name, f"{desk.config.server.public_url}/ui/link#{token}", now + LINK_LIFE)


def grant(desk: Desk, name: str, roles: tuple[str, ...], teams: tuple[str, ...], actor: Actor) -> Person:
    """Exchanges roles and teams; they hold from the next click on. Raises `NotFound`, `BadRequest`."""
    person = desk.store.person(name)
    changed = replace(
        person,
        roles=parse_roles(roles, desk.config.every_role),
        teams=check_teams(teams),
        granted_at=desk.clock(),
        granted_by=str(actor),
    )
    with desk.store.transaction():
        desk.store.set_grants(changed)
        desk.journal.append(_event("user.changed", actor, changed, before=list(person.roles)))
    return changed


def strip(desk: Desk, person: Person, actor: Actor) -> None:
    """Takes roles, teams and sign-ins away at once; new roles let him in again."""
    changed = replace(person, roles=(), teams=(), granted_at=desk.clock(), granted_by=str(actor))
    with desk.store.transaction():
        desk.store.set_grants(changed)
        desk.store.end_sign_ins(person.id, desk.clock())
        desk.journal.append(_event("user.changed", actor, changed))


def disable(desk: Desk, name: str, actor: Actor) -> None:
    """Shuts a person out at once: every sign-in ends. Twice is no error. Raises `NotFound`."""
    person = desk.store.person(name)
    with desk.store.transaction():
        desk.store.set_disabled(name, person.disabled_at or desk.clock())
        desk.store.end_sign_ins(name, desk.clock())
        desk.journal.append(Event("user.disabled", actor, f"user:{name}"))


def enable(desk: Desk, name: str, actor: Actor) -> None:
    """Lets a person in again, with what he had. Raises `NotFound`."""
    desk.store.person(name)
    with desk.store.transaction():
        desk.store.set_disabled(name, 0)
        desk.journal.append(Event("user.enabled", actor, f"user:{name}"))


def only_person(desk: Desk) -> str:
    """The name of the one person who may sign in: whom a command means that names nobody. Raises `BadRequest`."""
    names = [one.id for one in desk.store.people() if not one.disabled_at]
    if not names:
        raise NotFound("There is no user yet.", next_step="Run 'certwright user invite NAME --role administrator'.")
    if len(names) > 1:
        raise BadRequest(f"There are {len(names)} users.", next_step=f"Name one of {', '.join(names[:10])}.")
    return names[0]


def digest(secret: str) -> str:
    """What the database keeps of a random secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def check_name(name: str) -> None:
    """Raises `BadRequest` for what is no name of a user."""
    if not _NAME.fullmatch(name):
        raise BadRequest(f"{name[:80]!r} is no name for a user.", next_step="Use a-z, 0-9 and . _ @ -, at most 64.")


def check_teams(teams: tuple[str, ...]) -> tuple[str, ...]:
    """The teams, each once. Raises `BadRequest` for what is no name of one."""
    cleaned = tuple(dict.fromkeys(team.strip() for team in teams if team.strip()))
    if any(len(team) > 100 or not team.isprintable() for team in cleaned) or len(cleaned) > 50:
        raise BadRequest("A team is a printable name of at most 100 characters.", next_step="Use what stands in owner.")
    return cleaned


def _event(action: str, actor: Actor, person: Person, **more: object) -> Event:
    detail = {"roles": list(person.roles), "teams": list(person.teams), **more}
    return Event(action, actor, f"user:{person.id}", detail=detail)
