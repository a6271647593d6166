"""Four eyes: dangerous deeds are proposed by one person, approved by another, and executed by what verified both.

The approval is a WebAuthn assertion over the SHA-256 of all that was proposed. It is kept, and verified again, from the
stored bytes, by whatever carries the deed out: a proposal that was changed, or marked as approved, is not carried out.
(Who also exchanges a passkey in the database can approve: docs/threat-model.md, Open.)
"""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ca.authority import masses, passkeys, people
from ca.authority.desk import Desk
from ca.clock import rfc3339
from ca.errors import CAError, Conflict, Denied, Unauthenticated
from ca.people import Person, Proposal, Right, SignIn
from ca.records import Actor, Event, Query, Reason, RevokeRequest

LIFE = 7 * 86400
"""Seconds in which a proposal must be decided."""

PROBATION = 86400
"""Seconds for which whoever was given a role cannot approve what its giver proposes."""

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of deed: the right that its proposer needs, how it reads, and how it is done (answering one line)."""

    right: Right
    words: Callable[[Body], str]
    do: Callable[[Desk, Body, Actor], str]


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
    return f"{mass.total} certificates are being revoked; see revocation {mass.id}."


def _many(body: Body) -> str:
    chosen = dict(body["query"])
    until = f", issued until {rfc3339(chosen.pop('issued_until'))}" if "issued_until" in chosen else ""
    shown = " ".join(f"{name}:{value}" for name, value in chosen.items())
    return f"Revoke {body['total']} certificates for {body['reason']}: {shown}{until}"


def _roles(body: Body) -> str:
    teams = f", teams {', '.join(body['teams'])}" if body["teams"] else ""
    return f"{body['name']} as {', '.join(body['roles'])}{teams}"


KINDS: Mapping[str, Kind] = {
    "invite": Kind(Right.MANAGE_PEOPLE, lambda body: f"Let in {_roles(body)}", _invite),
    "grant": Kind(Right.MANAGE_PEOPLE, lambda body: f"Make {_roles(body)}", _grant),
    "revoke-many": Kind(Right.REVOKE_MANY, _many, _revoke_many),
}


def words(proposal: Proposal) -> str:
    """What is proposed, for people."""
    return KINDS[proposal.kind].words(json.loads(proposal.body))


def propose(desk: Desk, kind: str, body: Body, one: SignIn) -> Proposal:
    """Records a proposal; nothing is done yet."""
    now = desk.clock()
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    proposal = Proposal(secrets.token_hex(8), kind, text, one.person, now, now + LIFE)
    with desk.store.transaction():
        desk.store.add_proposal(proposal)
        desk.journal.append(_event("proposal.made", one.actor, proposal, kind=kind))
    return proposal


def request_options(desk: Desk, person: Person, proposal_id: str) -> str:
    """JSON to approve with: the challenge is the proposal's digest. Raises `Denied` for who may not approve it."""
    proposal = desk.store.proposal(proposal_id)
    _demand_second(desk, person, proposal)
    return passkeys.request_options(desk, "", desk.store.passkeys(person.id), proposal.digest)


def approve(desk: Desk, person: Person, one: SignIn, proposal_id: str, assertion: str) -> Proposal:
    """Approves and carries out; answers the proposal with its outcome.

    Raises `Denied` for its proposer, for whom it is about, for whoever the proposer gave a role lately and when he lost
    the right himself; `Unauthenticated` for an assertion that is none, `Conflict` when it is decided or past its time.
    """
    proposal = desk.store.proposal(proposal_id)
    _demand_second(desk, person, proposal)
    if passkeys.verify(desk, assertion, proposal.digest).person != person.id:
        raise Unauthenticated("That is somebody else's passkey.", next_step="Use your own.")
    _decide(desk, one, proposal, "approved", assertion)
    return carry_out(desk, proposal_id)


def refuse(desk: Desk, one: SignIn, proposal_id: str) -> None:
    """Ends a proposal undone; its proposer may do so too. Raises `Conflict` when it is decided already."""
    _decide(desk, one, desk.store.proposal(proposal_id), "refused", "")


def carry_out(desk: Desk, proposal_id: str) -> Proposal:
    """Does what was approved, after verifying the stored approval again. A deed that fails is told in the outcome."""
    proposal = desk.store.proposal(proposal_id)
    _demand_approved(desk, proposal)
    actor = Actor("user", proposal.proposed_by, f"approved by {proposal.decided_by}")
    try:
        state, outcome = "done", KINDS[proposal.kind].do(desk, json.loads(proposal.body), actor)
    except CAError as error:
        state, outcome = "failed", str(error)
    desk.store.end_proposal(proposal_id, state, outcome)
    return desk.store.proposal(proposal_id)


def _demand_second(desk: Desk, person: Person, proposal: Proposal) -> None:
    if person.id in (proposal.proposed_by, json.loads(proposal.body).get("name")):
        raise Denied(
            "Nobody approves his own proposal, or his own roles.", next_step="Ask somebody else who may approve."
        )
    proposer = desk.store.person(proposal.proposed_by)
    if proposer.disabled_at or KINDS[proposal.kind].right not in proposer.rights:
        raise Denied(
            f"{proposer.id} may not propose this any more.", next_step="Refuse it, and propose it anew if it is meant."
        )
    lately = person.granted_at > desk.clock() - PROBATION
    if lately and person.granted_by == f"user:{proposal.proposed_by}":
        raise Denied(
            f"{proposal.proposed_by} gave {person.id} his roles less than a day ago.",
            next_step="Ask somebody else, or wait a day.",
        )
    if lately and person.subject:  # nobody knows who put him into a group
        raise Denied(
            f"The provider gave {person.id} his roles less than a day ago.",
            next_step="Ask somebody else, or wait a day.",
        )


def _demand_approved(desk: Desk, proposal: Proposal) -> None:
    if proposal.state != "approved":
        raise Conflict(f"This proposal is {proposal.state}.", next_step="Propose it anew.")
    holder = passkeys.verify(desk, proposal.assertion, proposal.digest, again=True).person
    if holder != proposal.decided_by or holder == proposal.proposed_by:
        raise Denied(
            "The stored approval is not by a second person.", next_step="The row was changed: see the journal."
        )


def _decide(desk: Desk, one: SignIn, proposal: Proposal, state: str, assertion: str) -> None:
    with desk.store.transaction():
        if not desk.store.decide(proposal.id, state, one.person, desk.clock(), assertion):
            raise Conflict(
                "It is decided already, or past its time.", next_step="Propose it anew if it is still meant."
            )
        desk.journal.append(_event(_DECIDED[state], one.actor, proposal, proposed_by=proposal.proposed_by))


_DECIDED = {"approved": "proposal.approved", "refused": "proposal.refused"}


def _event(action: str, actor: Actor, proposal: Proposal, **more: object) -> Event:
    detail = {"sha256": proposal.digest.hex(), "body": proposal.body[:4000], **more}
    return Event(action, actor, f"proposal:{proposal.id}", detail=detail)
