"""`certwright user`: who may sign in at the web UI."""

from typing import TYPE_CHECKING, Any

import click

from ca.clock import rfc3339
from cli.output import answer, table
from cli.session import Session, command, operator

if TYPE_CHECKING:
    from ca.people import Person

ROLE = click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    help="viewer, auditor, operator, security-officer, administrator, or one of the configuration; repeatable.",
)
TEAM = click.option("--team", "teams", multiple=True, help="Its certificates (by their owner) are his; repeatable.")


@command(changes=True, eyes=True)
@click.argument("name")
@ROLE
@TEAM
def invite(session: Session, name: str, roles: tuple[str, ...], teams: tuple[str, ...]) -> None:
    """Lets somebody sign in at the web UI, and prints a one-time link by which he enrols a passkey or password."""
    from ca.authority import people

    if session.dry_run:
        answer(session, {"dry_run": True, "name": name}, f"Would invite {name} as {', '.join(roles)}.")
        return
    with session.authority() as authority:
        session.demand_second(authority)
        people.invite(authority, name, roles, teams, operator())
        _show(session, people.make_link(authority, name, operator()))


@command()
def list_(session: Session) -> None:
    """Lists who may sign in, with roles and teams."""
    with session.authority() as authority:
        shown = [_shape(one, len(authority.store.passkeys(one.id))) for one in authority.store.people()]
    head = ("name", "status", "roles", "teams", "passkeys", "password")
    rows = [[_cell(one[key]) for key in head] for one in shown]
    empty = "Nobody may sign in yet: certwright user invite NAME --role administrator"
    answer(session, shown, lambda: table(head, rows, empty))


@command(eyes=True)
@click.argument("name", default="")
def link(session: Session, name: str) -> None:
    """Prints a new one-time sign-in link, good for 15 minutes; the one before ends.

    NAME may be left out where there is one user. Who has a passkey or password already could be signed in as by it.
    """
    from ca.authority import people

    with session.authority() as authority:
        person = authority.store.person(name or people.only_person(authority))
        if person.password or authority.store.passkeys(person.id):
            session.demand_second(authority, name=person.id)
        _show(session, people.make_link(authority, person.id, operator()))


@command(changes=True, eyes=True)
@click.argument("name")
@ROLE
@TEAM
def grant(session: Session, name: str, roles: tuple[str, ...], teams: tuple[str, ...]) -> None:
    """Gives a user these roles and teams in place of those that he had."""
    from ca.authority import people

    if session.dry_run:
        answer(session, {"dry_run": True, "name": name}, f"Would make {name} {', '.join(roles)}.")
        return
    with session.authority() as authority:
        session.demand_second(authority)
        person = people.grant(authority, name, roles, teams, operator())
        answer(
            session, _shape(person, len(authority.store.passkeys(name))), f"{name} is {', '.join(person.roles)} now."
        )


@command(changes=True)
@click.argument("name")
def disable(session: Session, name: str) -> None:
    """Shuts a user out at once: everything that he is signed in with ends."""
    from ca.authority import people

    with session.authority() as authority:
        authority.store.person(name)
        if session.dry_run:
            answer(session, {"dry_run": True, "name": name}, f"Would shut {name} out.")
            return
        session.confirm(f"Shut {name} out?")
        people.disable(authority, name, operator())
        answer(session, {"name": name, "status": "disabled"}, f"{name} is shut out.")


@command(eyes=True)
@click.argument("name")
def enable(session: Session, name: str) -> None:
    """Lets a user in again, with the roles that he had."""
    from ca.authority import people

    with session.authority() as authority:
        session.demand_second(authority)
        people.enable(authority, name, operator())
        answer(session, {"name": name, "status": "active"}, f"{name} may sign in again.")


def _show(session: Session, made: Any) -> None:
    """The link alone on stdout, so that it can be passed on; what it is goes to stderr."""
    shape = {"name": made.person, "url": made.url, "expires_at": rfc3339(made.expires_at)}
    if session.json:
        answer(session, shape, "")
        return
    click.echo(made.url)
    if not session.quiet:
        click.echo(f"for {made.person}, once, until {shape['expires_at']}", err=True)


def _shape(one: "Person", passkeys: int) -> dict[str, Any]:
    return {
        "name": one.id,
        "status": "disabled" if one.disabled_at else "active",
        "roles": list(one.roles),
        "teams": list(one.teams),
        "passkeys": passkeys,
        "password": bool(one.password),
        "created_at": rfc3339(one.created_at),
        "created_by": one.created_by,
    }


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
