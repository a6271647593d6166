"""KC-07: the states of a key; every pair of states and every pair of state and operation is decided."""

from itertools import product

import pytest

from ca.errors import Conflict
from ca.keys.ring import PERMITTED, TRANSITIONS, KeyState, Operation, advance, permitted

LEGAL = {
    "pre-active": {"active", "compromised", "destroyed"},
    "active": {"suspended", "deactivated", "compromised", "destroyed"},
    "suspended": {"active", "deactivated", "compromised", "destroyed"},
    "deactivated": {"compromised", "destroyed"},
    "compromised": {"destroyed-compromised"},
    "destroyed": {"destroyed-compromised"},
    "destroyed-compromised": set(),
}
MAY = {
    "pre-active": {"prove"},
    "active": {"prove", "sign", "revoke", "verify"},
    "suspended": {"verify"},
    "deactivated": {"revoke", "verify"},
    "compromised": {"verify"},
    "destroyed": set(),
    "destroyed-compromised": set(),
}


def test_kc07_the_tables_are_complete() -> None:
    assert set(TRANSITIONS) == set(PERMITTED) == set(KeyState)


@pytest.mark.parametrize(("now", "to"), list(product(KeyState, KeyState)))
def test_kc07_transitions(now: KeyState, to: KeyState) -> None:
    if to.value in LEGAL[now.value]:
        assert advance(now, to) is to
        return
    with pytest.raises(Conflict):
        advance(now, to)


@pytest.mark.parametrize(("state", "operation"), list(product(KeyState, Operation)))
def test_kc07_operations(state: KeyState, operation: Operation) -> None:
    assert permitted(state, operation) is (operation.value in MAY[state.value])


def test_nothing_comes_back_from_compromise_or_destruction() -> None:
    """Whatever path is taken, a key that was compromised or destroyed never signs again."""
    seen, todo = set(), [KeyState.COMPROMISED, KeyState.DESTROYED]
    while todo:
        state = todo.pop()
        seen.add(state)
        todo += [after for after in TRANSITIONS[state] if after not in seen]
    assert not any(permitted(state, Operation.SIGN) or permitted(state, Operation.PROVE) for state in seen)
