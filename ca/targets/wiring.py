"""From the configuration to its targets: one line a kind."""

import platform

from ca.clock import Clock
from ca.config import Config
from ca.destinations import AnyTarget, FolderTarget, HAProxyTarget, HTTPTarget, S3Target
from ca.targets.feed import Destination, Target
from ca.targets.folder import PlainFolder
from ca.targets.haproxy import HAProxy
from ca.targets.http import Web, bearer, s3


def open_targets(config: Config, clock: Clock) -> tuple[Target, ...]:
    """Every target of the configuration. Nothing is reached and no secret read before something is sent."""
    return tuple(_target(name, one, config, clock) for name, one in sorted(config.targets.items()))


def _target(name: str, one: AnyTarget, config: Config, clock: Clock) -> Target:
    """What lies on a node is fed by that node, from a cursor of its own; the others by the one that has the lease."""
    local = isinstance(one, FolderTarget | HAProxyTarget)
    cursor = f"{name}@{platform.node()}" if local else name
    only = frozenset(["staple"] if isinstance(one, HAProxyTarget) else one.only)
    return Target(name, one.kind, cursor, local, only, _destination(one, config, clock))


def _destination(one: AnyTarget, config: Config, clock: Clock) -> Destination:
    match one:
        case FolderTarget():
            return PlainFolder(config.path(one.path))
        case HAProxyTarget():
            return HAProxy(config.path(one.socket), clock)
        case HTTPTarget():
            token, roots = (file and config.path(file) for file in (one.token_file, one.ca_file))
            return Web(one.url, roots, lambda: bearer(token))
        case S3Target():
            secret, roots = config.path(one.secret_file), one.ca_file and config.path(one.ca_file)
            return Web(one.url, roots, lambda: s3(one.access_key, secret, one.region, clock))
