"""Signing in: a one-time link, a passkey, or a password with a one-time password; and what a sign-in is good for.

The fourth way is `ca.authority.sign_on`.

Each sign-in has a fresh secret of 256 bits, kept by the browser as a cookie and here as its SHA-256. Whoever has no
passkey and no password yet may do nothing but enrol one.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from ca.authority import passkeys, passwords
from ca.authority.desk import Desk
from ca.authority.people import digest
from ca.authority.throttle import attempt
from ca.errors import Conflict, Denied, NotFound, Unauthenticated
from ca.people import Person, SignIn
from ca.records import SYSTEM, Actor, Event

_AGAIN = "Sign in by a passkey or a password; for a new link run 'certwright user link' on the host."


@dataclass(frozen=True, slots=True)
class Client:
    """Where a person signs in from, as he will recognize it in the list of his sign-ins."""

    address: str = ""
    agent: str = ""


@dataclass(frozen=True, slots=True)
class Opened:
    """A new sign-in with the secret for the cookie, which is never shown again."""

    sign_in: SignIn
    secret: str


# --- three ways in ------------------------------------------------------------------------------


def by_link(desk: Desk, token: str, client: Client) -> Opened:
    """Uses a one-time link up. Raises `Unauthenticated`, the same for used, old and unknown ones."""
    try:
        with journalled(desk, "unknown", "link"):
            name = desk.store.use_link(digest(token[:200]), desk.clock())
    except NotFound:
        raise Unauthenticated("This link is used up, too old or no link of ours.", next_step=_AGAIN) from None
    return open_for(desk, desk.store.person(name), "link", client)


def by_passkey(desk: Desk, response: str, client: Client) -> Opened:
    """Signs in whoever holds the passkey. Raises `Unauthenticated`."""
    with journalled(desk, "unknown", "passkey"):
        passkey = passkeys.assertion(desk, response, "sign-in")
        person = desk.store.person(passkey.person)
        if person.subject:  # or whoever left the provider's groups would stay in
            raise Unauthenticated("This passkey confirms and approves; its owner signs in at the provider.")
    return open_for(desk, person, "passkey", client)


def by_password(desk: Desk, name: str, password: str, code: str, client: Client) -> Opened:
    """Signs in by both factors. Raises `Unauthenticated` (the same for unknown names) and `RateLimited`."""
    name = name.strip().lower()[:64]
    person = _person_or_nobody(desk, name)
    with attempt(desk, name, client.address), journalled(desk, person.id if person.roles else "unknown", "password"):
        passwords.check(desk, person, password, code)
    return open_for(desk, person, "password", client)


def _person_or_nobody(desk: Desk, name: str) -> Person:
    try:
        person = desk.store.person(name)
    except NotFound:
        return passwords.nobody(name)
    return person if person.password and not person.disabled_at else passwords.nobody(name)


class journalled:  # noqa: N801 - used as a word
    """Around a proof: what is refused in it is journalled, without what was typed."""

    def __init__(self, desk: Desk, name: str, method: str) -> None:
        self.desk, self.name, self.method = desk, name, method

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, Unauthenticated | NotFound | Denied):
            with self.desk.store.transaction():
                actor = Actor("user", self.name, self.method)
                event = Event("user.sign-in-failed", actor, f"user:{self.name}", result="denied", reason=error.code)
                self.desk.journal.append(event)


def open_for(desk: Desk, person: Person, method: str, client: Client, fresh_at: int | None = None) -> Opened:
    """A new sign-in; its proof was given now, or at `fresh_at`. Raises `Unauthenticated` for whoever is shut out."""
    if person.disabled_at:
        raise Unauthenticated("This account is shut out.", next_step="Ask an administrator.")
    secret = secrets.token_urlsafe(32)
    now = desk.clock()
    fresh = now if fresh_at is None else fresh_at
    life = desk.config.ui.session_life
    address, agent = client.address[:64], "".join(filter(str.isprintable, client.agent))[:200]
    one = SignIn(secrets.token_hex(8), person.id, method, now, now, fresh, now + life, 0, address, agent)
    with desk.store.transaction():
        desk.store.add_sign_in(one, digest(secret))
        desk.journal.append(
            Event("user.signed-in", one.actor, f"user:{person.id}", detail={"sign_in": one.id}, personal=_where(one))
        )
    return Opened(one, secret)


def _where(one: SignIn) -> dict[str, str]:
    return {"address": one.address, "agent": one.agent}


# --- while it holds -----------------------------------------------------------------------------


def look_up(desk: Desk, secret: str) -> tuple[Person, SignIn]:
    """Whose cookie that is, noting the use. Raises `Unauthenticated` for one that does not hold (any more)."""
    refused = Unauthenticated("You are not signed in, or no longer.", next_step="Sign in.")
    now = desk.clock()
    try:
        one = desk.store.sign_in(digest(secret[:200]))
        person = desk.store.person(one.person)
    except NotFound:
        raise refused from None
    idle = one.seen_at + desk.config.ui.session_idle <= now
    if one.ended_at or one.expires_at <= now or idle or person.disabled_at:
        raise refused
    desk.store.sign_in_seen(one, now)
    return person, one


def must_enrol(desk: Desk, person: Person) -> bool:
    """Whether there is no way yet to sign in without a link."""
    return not person.subject and not person.password and not desk.store.passkeys(person.id)


def end(desk: Desk, person: str, sign_in_id: str, actor: Actor = SYSTEM) -> None:
    """Ends one sign-in. Raises `NotFound` for another's."""
    with desk.store.transaction():
        desk.store.end_sign_in(person, sign_in_id, desk.clock())
        desk.journal.append(Event("user.sign-in-ended", actor, f"user:{person}", detail={"sign_in": sign_in_id}))


# --- proving it again ---------------------------------------------------------------------------


def confirm_by_passkey(desk: Desk, person: Person, one: SignIn, response: str) -> None:
    """Makes the sign-in fresh by the person's own passkey. Raises `Unauthenticated`."""
    with journalled(desk, person.id, "passkey"):
        if passkeys.assertion(desk, response, f"confirm:{one.id}").person != person.id:
            raise Unauthenticated("That is somebody else's passkey.", next_step="Use your own.")
    desk.store.sign_in_fresh(one.id, "passkey", desk.clock())


def confirm_by_password(desk: Desk, person: Person, one: SignIn, password: str, code: str) -> None:
    """Makes the sign-in fresh by both factors. Raises `Unauthenticated` and `RateLimited`."""
    with attempt(desk, person.id, one.address), journalled(desk, person.id, "password"):
        passwords.check(desk, person, password, code)
    desk.store.sign_in_fresh(one.id, "password", desk.clock())


# --- enrolling ----------------------------------------------------------------------------------


def enrol_passkey(desk: Desk, person: Person, one: SignIn, response: str, name: str) -> None:
    """Adds a passkey. Raises `BadRequest`, `Unauthenticated`, `Conflict`."""
    _enrol(desk, one, "passkey", lambda: passkeys.enrol(desk, person, response, name))


def enrol_password(desk: Desk, person: Person, one: SignIn, password: str, secret: str, code: str) -> None:
    """Sets the password with its second factor, in place of earlier ones. Raises `BadRequest`."""
    _enrol(desk, one, "password", lambda: passwords.enrol(desk, person, password, secret, code))


def _enrol(desk: Desk, one: SignIn, kind: str, store: Callable[[], object]) -> None:
    with desk.store.transaction():
        store()
        desk.journal.append(Event("user.credential-added", one.actor, f"user:{one.person}", detail={"kind": kind}))


def remove_passkey(desk: Desk, person: Person, one: SignIn, passkey_id: str) -> None:
    """Gives a passkey up. Raises `NotFound`, and `Conflict` for the last way to sign in."""
    if not person.password and len(desk.store.passkeys(person.id)) <= 1:
        raise Conflict("It is the only way to sign in.", next_step="Enrol another one first.")
    with desk.store.transaction():
        desk.store.remove_passkey(person.id, passkey_id)
        detail = {"kind": "passkey", "id": passkey_id}
        desk.journal.append(Event("user.credential-removed", one.actor, f"user:{person.id}", detail=detail))
