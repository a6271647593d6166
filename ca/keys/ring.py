"""The states of a key (NIST SP 800-57 part 1 §7): which may follow which, and what may be done in each.

Both tables are complete and closed: what does not stand here is refused (KC-07).
"""

from collections.abc import Mapping
from enum import StrEnum

from ca.errors import Conflict


class KeyState(StrEnum):
    """Where a key is in its life."""

    PRE_ACTIVE = "pre-active"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    DEACTIVATED = "deactivated"
    COMPROMISED = "compromised"
    DESTROYED = "destroyed"
    DESTROYED_COMPROMISED = "destroyed-compromised"


class Operation(StrEnum):
    """What can be asked of a key: PROVE is the proof of possession in its own CSR, REVOKE a CRL, SIGN everything else.

    A CA that has retired goes on telling what it revoked, until its last certificate has ended.
    """

    PROVE = "prove"
    SIGN = "sign"
    REVOKE = "revoke"
    VERIFY = "verify"


TRANSITIONS: Mapping[KeyState, frozenset[KeyState]] = {
    KeyState.PRE_ACTIVE: frozenset({KeyState.ACTIVE, KeyState.COMPROMISED, KeyState.DESTROYED}),
    KeyState.ACTIVE: frozenset(
        {KeyState.SUSPENDED, KeyState.DEACTIVATED, KeyState.COMPROMISED, KeyState.DESTROYED},
    ),
    KeyState.SUSPENDED: frozenset(
        {KeyState.ACTIVE, KeyState.DEACTIVATED, KeyState.COMPROMISED, KeyState.DESTROYED},
    ),
    KeyState.DEACTIVATED: frozenset({KeyState.COMPROMISED, KeyState.DESTROYED}),
    KeyState.COMPROMISED: frozenset({KeyState.DESTROYED_COMPROMISED}),
    # A key can turn out to have been compromised after it is gone: what it signed is doubtful then.
    KeyState.DESTROYED: frozenset({KeyState.DESTROYED_COMPROMISED}),
    KeyState.DESTROYED_COMPROMISED: frozenset(),
}

PERMITTED: Mapping[KeyState, frozenset[Operation]] = {
    KeyState.PRE_ACTIVE: frozenset({Operation.PROVE}),
    KeyState.ACTIVE: frozenset({Operation.PROVE, Operation.SIGN, Operation.REVOKE, Operation.VERIFY}),
    KeyState.SUSPENDED: frozenset({Operation.VERIFY}),
    KeyState.DEACTIVATED: frozenset({Operation.REVOKE, Operation.VERIFY}),
    KeyState.COMPROMISED: frozenset({Operation.VERIFY}),
    KeyState.DESTROYED: frozenset(),
    KeyState.DESTROYED_COMPROMISED: frozenset(),
}


def advance(now: KeyState, to: KeyState) -> KeyState:
    """`to`, when it may follow `now`; otherwise raises `Conflict`. Staying in a state is no transition."""
    if to not in TRANSITIONS[now]:
        raise Conflict(
            f"A key that is {now} cannot become {to}.",
            next_step=f"Possible from here: {', '.join(sorted(TRANSITIONS[now])) or 'nothing'}.",
        )
    return to


def permitted(state: KeyState, operation: Operation) -> bool:
    """Whether a key in this state may be used so."""
    return operation in PERMITTED[state]
