"""Commands on the host that wait for a second person, where `approvals.commands` says so.

    demand(desk, body, actor)     # proposes it and raises ApprovalNeeded; approved, it returns once

Whoever runs a command runs the same one again once it is approved: its words, and the contents of the files that it
names, stand in the proposal. Nothing is held while nobody was ever there who could approve: the first people of a CA
are made by a command. Whoever has the host can also edit the configuration: this guards against haste, and against who
may run this program alone, not against root (docs/threat-model.md).
"""

from ca.authority import proposals
from ca.authority.deeds import COMMAND, Body
from ca.authority.desk import Desk
from ca.clock import rfc3339
from ca.errors import ApprovalNeeded
from ca.people import Proposal, Right
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
    undone = desk.store.undone_proposals(str(actor), desk.clock())
    mine = [one for one in undone if (one.kind, one.body) == (COMMAND, text)]
    if any(one.state == "approved" and proposals.spend(desk, one) for one in mine):
        return
    waiting = next((one for one in mine if one.state == "open"), None)
    raise _needed(desk, waiting or proposals.propose(desk, COMMAND, body, str(actor), actor))


def _anybody_could(desk: Desk) -> bool:
    """Also by somebody who was shut out since: else shutting everybody out would open everything."""
    able = (one for one in desk.store.people() if Right.APPROVE in one.rights(desk.config.every_role))
    return any(desk.store.passkeys(one.id) for one in able)


def _needed(desk: Desk, proposal: Proposal) -> ApprovalNeeded:
    return ApprovalNeeded(
        "This waits for the approval of a second person.",
        next_step=f"Have it approved at {desk.config.server.public_url}/ui/approvals/{proposal.id}, then run the same "
        f"command again, until {rfc3339(proposal.expires_at)}. In an emergency add --emergency WHY.",
    )
