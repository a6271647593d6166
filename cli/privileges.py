"""Root's part in production: to make the places, and to start each process as its own user, with nothing left of root.

Everywhere else (a demo, a unit with `User=`) nothing here changes anything.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ca.errors import ConfigError
from ca.places import Place, furnish, inspect, places
from ca.users import resolve
from cli.processes import CERTWRIGHT

if TYPE_CHECKING:
    from ca.config import Config

LOW_PORTS = {"web": "https_listen", "status": "http_listen"}
"""The processes that listen, and the key of their address: ports below 1024 take a capability."""


def is_roots_affair(config: "Config") -> bool:
    """Whether this is root, in production."""
    return config.mode == "production" and os.geteuid() == 0


def demand_root(config: "Config") -> None:
    """Raises `ConfigError` in production, where only root can give each process its user; a demo runs as anybody."""
    if config.mode == "production" and os.geteuid() != 0:
        raise ConfigError(
            f"In production mode each process has a user of its own, and uid {os.geteuid()} cannot give it one.",
            next_step="Start it as root, which drops its children, or run one unit a process (deploy/README.md).",
        )


def prepare_places(config: "Config") -> None:
    """As root in production: makes the folders that are missing. Raises `ConfigError` for one that is wrong."""
    if not is_roots_affair(config):
        return
    users, found = resolve(config.users), places(config)
    furnish(found, users)
    for one in found:
        inspect(one, users)


def dropped(config: "Config", process: str, command: Sequence[str]) -> list[str]:
    """The command, run as the user of that process when root asks in production: no capability, nothing to gain one."""
    if not is_roots_affair(config):
        return list(command)
    users = resolve(config.users)
    user, caps = users[process], "-all,+net_bind_service" if _wants_low_port(config, process) else "-all"
    return [
        "setpriv",
        f"--reuid={user.uid}",
        f"--regid={user.gid}",
        f"--groups={','.join(map(str, users.groups(process)))}",
        f"--inh-caps={caps}",
        f"--ambient-caps={caps}",
        f"--bounding-set={caps}",
        "--no-new-privs",
        *command,
    ]


def step_down(config: "Config", process: str) -> None:
    """Root in production becomes the user of that process, by running this very command anew. Else returns."""
    if not is_roots_affair(config):
        return
    command = dropped(config, process, [*CERTWRIGHT, *sys.argv[1:]])
    os.execvp(command[0], command)  # noqa: S606 - this command again, no shell is wanted


def become_owner(config: "Config", process: str, folder: Path) -> None:
    """Root in production makes the places, and the folder as that process's own, and goes on as its user."""
    if not is_roots_affair(config):
        return
    users = resolve(config.users)
    own = Place("DIRECTORY", folder, process, process, 0o700)
    furnish((own, *places(config)), users)
    inspect(own, users)
    step_down(config, process)


def _wants_low_port(config: "Config", process: str) -> bool:
    if process not in LOW_PORTS:
        return False
    return 0 < int(getattr(config.server, LOW_PORTS[process]).rpartition(":")[2]) < 1024
