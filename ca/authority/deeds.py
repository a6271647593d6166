"""The deeds that take four eyes: who may propose each, how it reads, and how it is done once a second person agreed."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ca.authority import masses, people, policies
from ca.authority.desk import Desk
from ca.clock import rfc3339
from ca.errors import Conflict
from ca.people import Proposal, Right
from ca.records import Actor, Query, Reason, RevokeRequest

Body = Mapping[str, Any]

_TYPED = ("command", "arguments", "files", "emergency", "name")
"""Of a command, what is not what it found."""

FEW = 3
"""Settings that a heading names."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of deed: the right that its proposer needs, how it reads, and how it is done (answering one line).

    Without a right it is for whoever has the host; without a way to do it, its proposer does it himself once it is
    approved. An `urgent` one may be done alone in an emergency, and is reviewed afterwards.
    """

    right: Right | None
    words: Callable[[Body], str]
    do: Callable[[Desk, Body, Actor], str] | None
    urgent: bool = False


def _invite(desk: Desk, body: Body, actor: Actor) -> str:
    person = people.invite(desk, body["name"], tuple(body["roles"]), tuple(body["teams"]), actor)
    return f"{person.id} may sign in; make a link by 'certwright user link {person.id}'."


def _grant(desk: Desk, body: Body, actor: Actor) -> str:
    person = people.grant(desk, body["name"], tuple(body["roles"]), tuple(body["teams"]), actor)
    return f"{person.id} is {', '.join(person.roles)} now."


def _revoke_many(desk: Desk, body: Body, actor: Actor) -> str:
    query, request = Query(**body["query"]), RevokeRequest(Reason(body["reason"]), actor, body["comment"])
    if masses.preview(desk, query, request)[0] > body["total"]:
        raise Conflict("More certificates match than were proposed.", next_step="Propose it anew, and count them.")
    mass = masses.begin(desk, query, request)
    return f"{mass.total} being revoked; see revocation {mass.id}."


def _many(body: Body) -> str:
    chosen = dict(body["query"])
    until = f", issued until {rfc3339(chosen.pop('issued_until'))}" if "issued_until" in chosen else ""
    shown = " ".join(f"{name}:{value}" for name, value in chosen.items())
    many = f"{body['total']} certificate{'s' if body['total'] != 1 else ''}"
    return f"Revoke {many} for {body['reason']}: {shown}{until}"


def _roles(body: Body) -> str:
    teams = f", teams {', '.join(body['teams'])}" if body["teams"] else ""
    return f"{body['name']} as {', '.join(body['roles'])}{teams}"


def _command(body: Body) -> str:
    given = " ".join(f"{name}={json.dumps(value)}" for name, value in body["arguments"].items() if value)
    found = " ".join(f"{name}={json.dumps(value)}" for name, value in body.items() if name not in _TYPED)
    return f"On the host: certwright {body['command']} {given}{f', with {found}' if found else ''}"


def _changes(body: Body) -> str:
    keys = [one["key"] for one in body["changes"]]
    more = f" and {len(keys) - FEW} more" if len(keys) > FEW else ""
    return f"Weaken the policy: {', '.join(keys[:FEW])}{more}"


COMMAND = "command"
POLICY = "policy"

KINDS: Mapping[str, Kind] = {
    "invite": Kind(Right.MANAGE_PEOPLE, lambda body: f"Let in {_roles(body)}", _invite),
    "grant": Kind(Right.MANAGE_PEOPLE, lambda body: f"Make {_roles(body)}", _grant),
    "revoke-many": Kind(Right.REVOKE_MANY, _many, _revoke_many, urgent=True),
    POLICY: Kind(None, _changes, policies.accept, urgent=True),
    COMMAND: Kind(None, _command, None, urgent=True),
}


def words(proposal: Proposal) -> str:
    """What is proposed, for people."""
    return KINDS[proposal.kind].words(json.loads(proposal.body))
