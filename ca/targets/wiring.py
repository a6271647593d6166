"""From the configuration to its targets: one line a kind."""

import platform

from ca.config import AnyTarget, Config
from ca.targets.feed import Destination, Target
from ca.targets.folder import PlainFolder


def open_targets(config: Config) -> tuple[Target, ...]:
    """Every target of the configuration. Nothing is reached and no secret read before something is sent."""
    return tuple(_target(name, one, config) for name, one in sorted(config.targets.items()))


def _target(name: str, one: AnyTarget, config: Config) -> Target:
    """A folder is this node's own, so its cursor is too; the others are fed by the node that has the lease."""
    local = one.kind == "folder"
    cursor = f"{name}@{platform.node()}" if local else name
    return Target(name, one.kind, cursor, local, frozenset(one.only), _destination(one, config))


def _destination(one: AnyTarget, config: Config) -> Destination:
    return PlainFolder(config.path(one.path))
