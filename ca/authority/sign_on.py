"""Single sign-on: who somebody is, and with which roles and teams, is said by a provider of OpenID Connect.

A person from there is told by its `subject`, never by name or e-mail, so nobody becomes somebody else by being renamed.
Roles and teams are those of the groups at the last sign-in: whoever is in no group that has a role does not come in,
and loses what he had.
"""

from functools import lru_cache
from pathlib import Path

from ca.authority import people, signin
from ca.authority.desk import Desk
from ca.authority.people import digest
from ca.authority.signin import Client, Opened, journalled
from ca.clock import Clock
from ca.console import OIDC
from ca.errors import BadRequest, Conflict, Denied, NotFound, Unauthenticated
from ca.oidc import Identity, Provider, Round
from ca.people import Person, SignIn
from ca.records import Actor

ROUND_LIFE = 600
"""Seconds in which somebody has to come back from the provider."""

OPEN_ROUNDS = 10_000
BACK = "/ui/sign-in/oidc/back"


def offered(desk: Desk) -> bool:
    """Whether there is a provider."""
    return bool(desk.config.ui.oidc.issuer)


def begin(desk: Desk, secret: str, one: SignIn | None = None) -> str:
    """Where the browser that keeps the secret has to go; with a sign-in, to prove again who it is.

    Raises `NotFound` without a provider, and `ProviderUnavailable`.
    """
    url = _provider(desk).begin(Round(secret), again=one is not None)
    now = desk.clock()
    desk.store.add_challenge(digest(secret), _purpose(one), now, now + ROUND_LIFE, OPEN_ROUNDS)
    return url


def finish(desk: Desk, secret: str, state: str, code: str, client: Client) -> Opened:
    """Signs in whom the provider vouches for. Raises `Unauthenticated`, `Denied` for somebody without a role here."""
    with journalled(desk, "unknown", "oidc"):
        identity = _identity(desk, secret, state, code, None)
        person = _person(desk, identity)
    return signin.open_for(desk, person, "oidc", client, identity.auth_time)


def confirm(desk: Desk, person: Person, one: SignIn, secret: str, state: str, code: str) -> None:
    """Makes a sign-in fresh by a proof that he gave the provider just now. Raises `Unauthenticated`."""
    with journalled(desk, person.id, "oidc"):
        identity = _identity(desk, secret, state, code, one)
        if identity.subject != person.subject:
            raise Unauthenticated("The provider vouches for somebody else.", next_step="Sign in there as yourself.")
        if identity.auth_time + desk.config.ui.fresh <= desk.clock():
            raise Unauthenticated(
                "The provider did not ask for a proof, or does not say when it was given.",
                next_step="Enrol a passkey at 'Your account', and confirm by that.",
            )
    desk.store.sign_in_fresh(one.id, "oidc", identity.auth_time)


def _identity(desk: Desk, secret: str, state: str, code: str, one: SignIn | None) -> Identity:
    """Each round ends once, whatever comes of it."""
    if not desk.store.use_challenge(digest(secret), _purpose(one), desk.clock()):
        raise Unauthenticated("This sign-in took too long, or was used already.", next_step="Begin again.")
    return _provider(desk).finish(Round(secret), state, code)


def _purpose(one: SignIn | None) -> str:
    return f"oidc:{one.id}" if one else "oidc"


def _provider(desk: Desk) -> Provider:
    config = desk.config.ui.oidc
    if not config.issuer:
        raise NotFound("There is no provider to sign in at.", next_step="Sign in by a passkey or a password.")
    files = (desk.config.path(config.client_secret_file), config.ca_file and desk.config.path(config.ca_file))
    return _opened(config.model_dump_json(), *files, desk.config.server.public_url.rstrip("/") + BACK, desk.wall)


@lru_cache(maxsize=4)
def _opened(config: str, secret_file: Path, ca_file: Path | None, back: str, clock: Clock) -> Provider:
    """One for all requests of a process: it keeps what the provider says of itself."""
    return Provider(OIDC.model_validate_json(config), secret_file, ca_file, back, clock)


# --- who that is here ---------------------------------------------------------------------------


def _person(desk: Desk, identity: Identity) -> Person:
    config, actor = desk.config.ui.oidc, Actor("oidc", desk.config.ui.oidc.issuer)
    roles = tuple(role for role in desk.config.every_role if identity.groups & set(config.roles.get(role, ())))
    teams = tuple(team for team, groups in sorted(config.teams.items()) if identity.groups & set(groups))
    try:
        known = desk.store.person_of(identity.subject)
    except NotFound:
        known = None
    if not roles:
        if known is not None and known.roles:
            people.strip(desk, known, actor)
        raise Denied("None of your groups has a role here.", next_step="Ask whoever runs this CA for a group with one.")
    if known is None:
        return _new(desk, identity, roles, teams, actor)
    if (known.roles, known.teams) != (roles, teams):
        return people.grant(desk, known.id, roles, teams, actor)
    return known


def _new(desk: Desk, identity: Identity, roles: tuple[str, ...], teams: tuple[str, ...], actor: Actor) -> Person:
    name = identity.name.lower()
    try:
        return people.invite(desk, name, roles, teams, actor, subject=identity.subject)
    except BadRequest as error:
        raise Denied(
            f"The name that the provider tells cannot be a name here: {error.detail}",
            next_step="Let ui.oidc.name_claim be a claim with a plain name.",
        ) from None
    except Conflict:
        raise Denied(
            f"The name {name} belongs to somebody else here.",
            next_step="An administrator can let you in under another name: change it at the provider first.",
        ) from None
