"""The policy that holds: with `approvals.policy` what permits more waits for a second person.

    config, weaker = in_force(store, config)      # at the opening of the desk
    settle(desk)                                  # at a start: later ones are compared with what holds now
    accept(desk, proposal(desk), actor)           # a second person agreed; it holds from the next start on

What holds is the newest journal entry of its target, so that nobody can change it without being seen.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from ca.authority.desk import Desk
from ca.config import Config
from ca.errors import ConfigError, Conflict
from ca.journal import entry
from ca.profiles import compile_all
from ca.records import SYSTEM, Actor, Event
from ca.store import Store
from ca.weakening import Values, Weakening, hold, policy_of, told

TARGET = "policy:ca"


def approved(store: Store) -> Values:
    """The policy that later ones are compared with; empty before there was one."""
    newest = store.newest(TARGET)
    return entry.read(newest[0].body)["detail"]["values"] if newest else {}


def in_force(store: Store, config: Config) -> tuple[Config, tuple[Weakening, ...]]:
    """What holds of that configuration, and what of it waits. Raises `ConfigError` when the mixture cannot be."""
    before = approved(store)
    if not before.get("approvals.policy"):
        return config, ()
    held, found = hold(config, before)
    if found:
        _demand_possible(held)
    return held, found


def _demand_possible(config: Config) -> None:
    try:
        compile_all(config)
    except ConfigError as error:
        raise ConfigError(
            f"The configuration permits more than was approved, and cannot hold without that: {error.detail}",
            next_step="Take the change back, or have its parts approved one after the other.",
        ) from None


def settle(desk: Desk) -> None:
    """Journals the policy that holds from this start on, if it is not the one that is known already."""
    values = policy_of(desk.config)
    with desk.store.transaction():
        if desk.config.approvals.policy and values != approved(desk.store):
            desk.journal.append(_settled(values, SYSTEM))


def waiting(desk: Desk) -> tuple[Weakening, ...]:
    """What waits for a second person; not what is approved already and holds from the next start on."""
    values = approved(desk.store)
    return tuple(one for one in desk.weaker if values.get(one.key) != one.wanted)


def proposal(desk: Desk) -> Mapping[str, Any]:
    """What a second person agrees to: each change, and the digest of the policy that it changes."""
    return {"changes": list(told(waiting(desk))), "over": _digest(approved(desk.store))}


def accept(desk: Desk, proposed: Mapping[str, Any], actor: Actor) -> str:
    """Lets a `proposal` hold; answers when. Raises `Conflict` when the policy has become another one since."""
    with desk.store.transaction():
        values = approved(desk.store)
        if _digest(values) != proposed["over"]:
            raise Conflict("The policy has changed since.", next_step="Run 'certwright config approve' again.")
        desk.journal.append(_settled({**values, **{one["key"]: one["wanted"] for one in proposed["changes"]}}, actor))
    return "It holds once Certwright is restarted."


def _settled(values: Values, actor: Actor) -> Event:
    return Event("policy.settled", actor, TARGET, detail={"values": dict(values), "sha256": _digest(values)})


def _digest(values: Values) -> str:
    return hashlib.sha256(msgspec.json.encode(values, order="sorted")).hexdigest()
