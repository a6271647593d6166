"""Four eyes: dangerous deeds are proposed by one person, approved by another, and executed by what verified both.

The approval is a WebAuthn assertion over the SHA-256 of all that was proposed. It is kept, and verified again, from the
stored bytes, by whatever carries the deed out: a proposal that was changed, or marked as approved, is not carried out.
(Who also exchanges a passkey in the database can approve: docs/threat-model.md, Open.)

Behind the glass: an urgent deed may be done alone. That is journalled and told at once, and stands on everybody's first
page until a second person has reviewed it, by the same assertion.
"""

import json
import secrets

from ca.authority import passkeys
from ca.authority.deeds import KINDS, Body
from ca.authority.desk import Desk
from ca.clock import rfc3339
from ca.errors import BadRequest, CAError, Conflict, Denied, Unauthenticated
from ca.people import Person, Proposal, SignIn
from ca.records import Actor, Event

LIFE = 7 * 86400
"""Seconds in which a proposal must be decided."""

PROBATION = 86400
"""Seconds for which whoever was given a role cannot approve what its giver proposes."""

WHY = 20
"""The least number of characters in which somebody says why a deed could not wait."""


def canonical(body: Body) -> str:
    """A body as it is recorded, digested and compared."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"))


def propose(desk: Desk, kind: str, body: Body, by: str, actor: Actor) -> Proposal:
    """Records a proposal by a person, or by the operator of a command; nothing is done yet."""
    return _record(desk, "proposal.made", kind, body, by, actor)


def break_glass(desk: Desk, kind: str, body: Body, by: str, actor: Actor, why: str) -> Proposal:
    """Does at once, alone, what would wait for a second person, who reviews it afterwards; answers what came of it.

    Raises `Denied` for a deed that can wait, `BadRequest` for one who does not say why.
    """
    why = why.strip()
    if not KINDS[kind].urgent:
        raise Denied("This waits for a second person.", next_step="Propose it, and ask somebody who may approve.")
    if not WHY <= len(why) <= 50 * WHY:
        raise BadRequest(f"Say why it cannot wait, in {WHY} to {50 * WHY} characters.", next_step="It is journalled.")
    proposal = _record(desk, "proposal.glass-broken", kind, {**body, "emergency": why}, by, actor, "emergency")
    return _do(desk, proposal, Actor(actor.kind, actor.id, "alone, in an emergency"), "emergency")


def request_options(desk: Desk, person: Person, proposal_id: str) -> str:
    """JSON to approve with: the challenge is the proposal's digest. Raises `Denied` for who may not approve it."""
    proposal = desk.store.proposal(proposal_id)
    _demand_second(desk, person, proposal)
    return passkeys.request_options(desk, "", desk.store.passkeys(person.id), proposal.digest)


def approve(desk: Desk, person: Person, one: SignIn, proposal_id: str, assertion: str) -> Proposal:
    """Approves and carries out; answers the proposal with its outcome. What was done alone is reviewed by it.

    Raises `Denied` for its proposer, for whom it is about, for whoever the proposer gave a role lately and when he lost
    the right himself; `Unauthenticated` for an assertion that is none, `Conflict` when it is decided or past its time.
    """
    proposal = desk.store.proposal(proposal_id)
    _demand_second(desk, person, proposal)
    if passkeys.verify(desk, assertion, proposal.digest).person != person.id:
        raise Unauthenticated("That is somebody else's passkey.", next_step="Use your own.")
    if proposal.state == "emergency":
        _decide(desk, one, proposal, "reviewed", assertion)
        return desk.store.proposal(proposal_id)
    _decide(desk, one, proposal, "approved", assertion)
    return carry_out(desk, proposal_id) if KINDS[proposal.kind].do else desk.store.proposal(proposal_id)


def refuse(desk: Desk, one: SignIn, proposal_id: str) -> None:
    """Ends a proposal undone; its proposer may do so too. Raises `Conflict` when it is decided or done already."""
    proposal = desk.store.proposal(proposal_id)
    if proposal.state == "emergency":
        raise Conflict("It is done.", next_step="Review it.")
    _decide(desk, one, proposal, "refused", "")


def carry_out(desk: Desk, proposal_id: str) -> Proposal:
    """Does what was approved, after verifying the stored approval again. A deed that fails is told in the outcome."""
    proposal = desk.store.proposal(proposal_id)
    _demand_approved(desk, proposal)
    return _do(desk, proposal, Actor("user", proposal.proposed_by, f"approved by {proposal.decided_by}"), "done")


def spend(desk: Desk, proposal: Proposal) -> bool:
    """Whether its proposer may do it now, after verifying the stored approval again; of two at once one may."""
    _demand_approved(desk, proposal)
    return desk.store.end_proposal(proposal, "done", f"{proposal.proposed_by} did it at {rfc3339(desk.clock())}.")


def _do(desk: Desk, proposal: Proposal, actor: Actor, done: str) -> Proposal:
    do = KINDS[proposal.kind].do
    try:
        state, outcome = done, do(desk, json.loads(proposal.body), actor) if do else f"{proposal.proposed_by} does it."
    except CAError as error:
        state, outcome = "failed", str(error)
    desk.store.end_proposal(proposal, state, outcome)
    return desk.store.proposal(proposal.id)


def _record(  # noqa: PLR0913 - what a proposal is made of
    desk: Desk, action: str, kind: str, body: Body, by: str, actor: Actor, state: str = "open"
) -> Proposal:
    now = desk.clock()
    proposal = Proposal(secrets.token_hex(8), kind, canonical(body), by, now, now + LIFE, state)
    with desk.store.transaction():
        desk.store.add_proposal(proposal)
        desk.journal.append(_event(action, actor, proposal, kind=kind))
    return proposal


def _demand_second(desk: Desk, person: Person, proposal: Proposal) -> None:
    if proposal.is_by(person.id) or person.id == _about(json.loads(proposal.body)):
        raise Denied(
            "Nobody approves his own proposal, or his own roles.", next_step="Ask somebody else who may approve."
        )
    if proposal.state == "open" and not _may_propose(desk, proposal):
        raise Denied(
            f"{proposal.proposed_by} may not propose this any more.",
            next_step="Refuse it, and propose it anew if it is meant.",
        )
    lately = person.granted_at > desk.clock() - PROBATION
    if lately and proposal.is_by_giver(person):
        raise Denied(
            f"{proposal.proposed_by} gave {person.id} his roles less than a day ago.",
            next_step="Ask somebody else, or wait a day.",
        )
    if lately and person.subject:  # nobody knows who put him into a group
        raise Denied(
            f"The provider gave {person.id} his roles less than a day ago.",
            next_step="Ask somebody else, or wait a day.",
        )


def _may_propose(desk: Desk, proposal: Proposal) -> bool:
    right = KINDS[proposal.kind].right
    if right is None:
        return True
    proposer = desk.store.person(proposal.proposed_by)
    return not proposer.disabled_at and right in proposer.rights(desk.config.every_role)


def _about(body: Body) -> object:
    return body.get("name") or body.get("arguments", {}).get("name")


def _demand_approved(desk: Desk, proposal: Proposal) -> None:
    if proposal.state != "approved":
        raise Conflict(f"This proposal is {proposal.state}.", next_step="Propose it anew.")
    holder = passkeys.verify(desk, proposal.assertion, proposal.digest, again=True).person
    if holder != proposal.decided_by or proposal.is_by(holder):
        raise Denied(
            "The stored approval is not by a second person.", next_step="The row was changed: see the journal."
        )


def _decide(desk: Desk, one: SignIn, proposal: Proposal, state: str, assertion: str) -> None:
    with desk.store.transaction():
        if not desk.store.decide(proposal, state, one.person, desk.clock(), assertion):
            raise Conflict(
                "It is decided already, or past its time.", next_step="Propose it anew if it is still meant."
            )
        desk.journal.append(_event(_DECIDED[state], one.actor, proposal, proposed_by=proposal.proposed_by))


_DECIDED = {"approved": "proposal.approved", "refused": "proposal.refused", "reviewed": "proposal.reviewed"}


def _event(action: str, actor: Actor, proposal: Proposal, **more: object) -> Event:
    detail = {"sha256": proposal.digest.hex(), "body": proposal.body[:4000], **more}
    return Event(action, actor, f"proposal:{proposal.id}", detail=detail)
