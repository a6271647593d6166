"""The users of the operating system that the processes run as in production (`users.*`), and the groups they share.

    users = resolve(config.users)
    users["web"].uid, users.groups("web")

Each process has a user of its own, so that whoever takes one over gets the files and the rights of that one. A
demo runs everything as whoever started it, and none of this applies.
"""

import grp
import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ca.errors import ConfigError

if TYPE_CHECKING:
    from ca.config import Config
    from ca.config import Users as Configured

MEMBERS: Mapping[str, tuple[str, ...]] = {
    "signer": ("everyone",),
    "fetcher": ("everyone",),
    "scheduler": ("everyone", "records", "clients"),
    "status": ("everyone", "clients"),
    "web": ("everyone", "records", "clients"),
}
"""The processes, and the shared groups that each is in besides its own."""

_HOW = "Make the accounts (deploy/sysusers.d/certwright.conf), or name others, or numbers, under [users]."


@dataclass(frozen=True, slots=True)
class User:
    """One account: its name in the configuration, its uid, and its own group."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Users:
    """The five users by process, and the shared groups by name; no two processes have the same uid."""

    by_process: Mapping[str, User]
    shared: Mapping[str, int]

    def __getitem__(self, process: str) -> User:
        return self.by_process[process]

    def groups(self, process: str) -> tuple[int, ...]:
        """The supplementary groups of a process."""
        return tuple(self.shared[one] for one in MEMBERS[process])

    def uid(self, owner: str) -> int:
        """The uid of a process, or of `root`."""
        return 0 if owner == "root" else self[owner].uid

    def gid(self, group: str) -> int:
        """The gid of a shared group, or of a process's own."""
        return self.shared[group] if group in self.shared else self[group].gid


def resolve(configured: "Configured") -> Users:
    """The accounts of `users.*`. Raises `ConfigError` for one that is missing, is root, or serves two processes."""
    by_process = {process: _user(process, getattr(configured, process)) for process in MEMBERS}
    shared = {group: _group(group, getattr(configured, group)) for group in ("everyone", "records", "clients")}
    _demand_different({f"users.{process}": user.uid for process, user in by_process.items()})
    # A group that is one process's own lets others into what is that process's alone.
    own = {f"users.{process}": user.gid for process, user in by_process.items()}
    _demand_different(own | {f"users.{group}": gid for group, gid in shared.items()})
    return Users(by_process, shared)


def demand(config: "Config", process: str) -> None:
    """Returns when this process may be `process` as the user it runs as: in production, only as `users.PROCESS`.

    Raises `ConfigError`.
    """
    if config.mode != "production":
        return
    wanted = resolve(config.users)[process]
    if os.getuid() != wanted.uid:
        raise ConfigError(
            f"In production the {process} runs as {wanted.name} (uid {wanted.uid}), and this is uid {os.getuid()}.",
            next_step=f"Start 'certwright serve' as root, or the unit with User={wanted.name} (deploy/README.md).",
        )


def _user(process: str, name: str) -> User:
    try:
        found = pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
    except KeyError:
        if not name.isdigit():
            raise ConfigError(f"users.{process}: there is no user {name}.", next_step=_HOW) from None
        return _not_root(process, User(name, int(name), int(name)))
    return _not_root(process, User(name, found.pw_uid, found.pw_gid))


def _not_root(process: str, user: User) -> User:
    if user.uid == 0 or user.gid == 0:
        raise ConfigError(f"users.{process} is {user.name}, which is root or in root's group.", next_step=_HOW)
    return user


def _group(group: str, name: str) -> int:
    if name.isdigit():
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ConfigError(f"users.{group}: there is no group {name}.", next_step=_HOW) from None


def _demand_different(numbers: Mapping[str, int]) -> None:
    seen: dict[int, str] = {}
    for key, number in numbers.items():
        if number in seen:
            raise ConfigError(
                f"{seen[number]} and {key} are the same ({number}): each process needs a user and a group of its own.",
                next_step=_HOW,
            )
        seen[number] = key
