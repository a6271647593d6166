"""Saved views: queries over certificates that a person keeps under a name, for himself or also for one of his teams.

They are words, not rights: whoever follows one asks the query himself, and sees what he may. The query language belongs
to whoever shows the list; here its words are only kept. Nothing is journalled: no certificate and no right changes.
"""

import secrets
from dataclasses import replace

from ca.authority.desk import Desk
from ca.authority.seat import Seat
from ca.errors import BadRequest, Conflict, Denied, NotFound
from ca.people import Right, SavedView

MOST = 50
"""Views that one person keeps, and views of others that he is shown."""

LONGEST = 500
_NAME = 60


def own(desk: Desk, seat: Seat) -> tuple[SavedView, ...]:
    """The person's own views, by name."""
    seat.demand(Right.SEE)
    return desk.store.views(seat.person.id)


def shared(desk: Desk, seat: Seat) -> tuple[SavedView, ...]:
    """What others share with one of his teams, by name: as long as they are of that team themselves."""
    seat.demand(Right.SEE)
    found = [one for one in desk.store.shared_views(seat.person.teams) if one.person != seat.person.id]
    sharing = {name: desk.store.person(name) for name in {one.person for one in found}}
    held = (one for one in found if sharing[one.person].owns(one.team) and not sharing[one.person].disabled_at)
    return tuple(held)[:MOST]


def save(desk: Desk, seat: Seat, name: str, query: str, team: str) -> SavedView:
    """Keeps a new view. Raises `BadRequest`, `Conflict` for a name that he has, `Denied` for a team that is not his."""
    seat.demand(Right.SEE)
    view = _checked(seat, SavedView(secrets.token_hex(8), seat.person.id, name, query, team, desk.clock()))
    with desk.store.transaction():
        if desk.store.count_views_for_change(seat.person.id) >= MOST:
            raise BadRequest(f"A person keeps at most {MOST} views.", next_step="Delete some first.")
        try:
            desk.store.add_view(view)
        except Conflict:
            raise _taken(view.name) from None
    return view


def change(desk: Desk, seat: Seat, view_id: str, name: str, query: str, team: str) -> SavedView:
    """Exchanges name, query and team of an own view. Raises what `save` raises, and `NotFound` for another's."""
    seat.demand(Right.SEE)
    changed = _checked(seat, replace(_own(desk, seat, view_id), name=name, query=query, team=team))
    try:
        desk.store.change_view(changed)
    except Conflict:
        raise _taken(changed.name) from None
    return changed


def delete(desk: Desk, seat: Seat, view_id: str) -> None:
    """Forgets an own view. Raises `NotFound`, also for another's."""
    seat.demand(Right.SEE)
    desk.store.delete_view(_own(desk, seat, view_id))


def _own(desk: Desk, seat: Seat, view_id: str) -> SavedView:
    for one in desk.store.views(seat.person.id):
        if one.id == view_id:
            return one
    raise NotFound("You have no such view.", next_step="Only who saved a view changes it.")


def _checked(seat: Seat, view: SavedView) -> SavedView:
    view = replace(view, name=view.name.strip(), query=view.query.strip())
    if not view.name or len(view.name) > _NAME or not view.name.isprintable():
        raise BadRequest(f"A view has a printable name of at most {_NAME} characters.", next_step="Name it.")
    if not view.query or len(view.query) > LONGEST or not view.query.isprintable():
        raise BadRequest(f"A view keeps a query of at most {LONGEST} characters.", next_step="Write one.")
    if view.team and not seat.person.owns(view.team):
        raise Denied(f"{view.team[:80]!r} is no team of {seat.person.id}.", next_step="Share it with one of your own.")
    return view


def _taken(name: str) -> Conflict:
    return Conflict(f"You have a view {name!r} already.", next_step="Choose another name, or change that one.")
