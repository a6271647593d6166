"""Commands on the host that wait for a second person, where `approvals.commands` says so.

    demand(desk, body, actor)     # proposes it and raises ApprovalNeeded; approved, it returns once

Whoever runs a command runs the same one again once it is approved: its words, and the contents of the files that it
names, stand in the proposal. Nothing is held while nobody was ever there who could approve: the first people of a CA
are made by a command. Whoever has the host can also edit the configuration: this guards against haste, and against who
may run this program alone, not against root (docs/threat-model.md).
"""

from ca.authority import policies, proposals
from ca.authority.deeds import COMMAND, POLICY, Body
from ca.authority.desk import Desk
from ca.clock import rfc3339
from ca.errors import ApprovalNeeded, Conflict
from ca.people import ROLES, Person, Proposal, Right, Roles
from ca.records import Actor


def demand(desk: Desk, body: Body, actor: Actor, emergency: str = "") -> None:
    """Returns when a second person approved exactly this command, and never twice for one approval.

    With an `emergency` (why it cannot wait) it returns at once, and is reviewed afterwards: see
    `proposals.break_glass`. Raises `ApprovalNeeded`; `Denied` for an approval that does not verify.
    """
    if not desk.config.approvals.commands or not _anybody_could(desk):
        return
    if emergency:
        proposals.break_glass(desk, COMMAND, body, str(actor), actor, emergency)
        return
    text = proposals.canonical(body)
    mine = [one for one in _undone(desk, actor) if (one.kind, one.body) == (COMMAND, text)]
    if any(one.state == "approved" and proposals.spend(desk, one) for one in mine):
        return
    raise _needed(desk, _proposed(desk, COMMAND, body, actor), "then run the same command again")


def demand_policy(desk: Desk, actor: Actor, emergency: str = "") -> str:
    """Has what is weaker in the file approved; answers what came of it where nobody has to be waited for.

    Raises `ApprovalNeeded`, and `Conflict` when the policy changed meanwhile.
    """
    body = policies.proposal(desk)
    if not _anybody_could(desk):
        return policies.accept(desk, body, actor)
    if not emergency:
        raise _needed(desk, _proposed(desk, POLICY, body, actor), "and restart Certwright then")
    done = proposals.break_glass(desk, POLICY, body, str(actor), actor, emergency)
    if done.state == "failed":
        raise Conflict(done.outcome)
    return done.outcome


def _proposed(desk: Desk, kind: str, body: Body, actor: Actor) -> Proposal:
    """What the same operator has proposed already, or a new proposal."""
    text = proposals.canonical(body)
    waiting = (one for one in _undone(desk, actor) if (one.kind, one.body, one.state) == (kind, text, "open"))
    return next(waiting, None) or proposals.propose(desk, kind, body, str(actor), actor)


def _undone(desk: Desk, actor: Actor) -> tuple[Proposal, ...]:
    return desk.store.undone_proposals(str(actor), desk.clock())


def _anybody_could(desk: Desk) -> bool:
    """Also by somebody who was shut out since: else shutting everybody out would open everything.

    What a role of the configuration gives, and whom a provider puts into one, is said elsewhere, and may have been
    different before: a right that was taken away there, which waits for nobody, opens nothing either.
    """
    known = (one for one in desk.store.people() if _could(one, desk.config.every_role))
    return any(desk.store.passkeys(one.id) for one in known)


def _could(person: Person, roles: Roles) -> bool:
    return bool(person.subject) or Right.APPROVE in person.rights(roles) or not set(person.roles) <= set(ROLES)


def _needed(desk: Desk, proposal: Proposal, then: str) -> ApprovalNeeded:
    return ApprovalNeeded(
        "This waits for the approval of a second person.",
        next_step=f"Have it approved at {desk.config.server.public_url}/ui/approvals/{proposal.id}, {then}, "
        f"until {rfc3339(proposal.expires_at)}. In an emergency add --emergency WHY.",
    )
