"""Where everything lies in production, whose it is, and who else gets in: one table of folders and files.

`furnish` makes the folders, `inspect` says what is wrong with a place. The signer refuses to start over places of
its own that others can use, and `certwright doctor` looks at each. See docs/operations.md, "Users and places".
"""

import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ca.errors import ConfigError
from ca.users import Users

if TYPE_CHECKING:
    from ca.config import Config

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_EXAMPLE = "Give each a folder of its own, as deploy/certwright.toml does."


@dataclass(frozen=True, slots=True)
class Place:
    """A folder, or with `at_most` a file (or folder of files) whose mode may be narrower.

    `key` is the configuration's; `owner` a process or `root`; `group` a shared group or a process's own.
    """

    key: str
    path: Path
    owner: str
    group: str
    mode: int
    at_most: bool = False


def places(config: "Config") -> tuple[Place, ...]:
    """Every place of a configuration. Raises `ConfigError` when two that differ would be one folder."""
    found = tuple(_places(config))
    seen: dict[Path, Place] = {}
    for one in found:
        first = seen.setdefault(one.path, one)
        if replace(first, key="") != replace(one, key=""):
            raise ConfigError(
                f"{first.key} and {one.key} share the folder {one.path}, and belong to different users.",
                next_step=_EXAMPLE,
            )
    return found


def _places(config: "Config") -> Iterator[Place]:
    hsm, signer, server, acme = config.hsm, config.signer, config.server, config.acme
    yield Place("program", Path(__file__).resolve().parent.parent, "root", "everyone", 0o755, at_most=True)
    yield Place("environment", Path(sys.prefix), "root", "everyone", 0o755, at_most=True)
    yield Place("configuration", config.file, "root", "everyone", 0o644, at_most=True)
    yield Place("hsm.module", config.path(hsm.module or "/"), "root", "everyone", 0o755, at_most=True)
    kind, _, value = hsm.pin_source.partition(":")
    if kind == "file":
        yield Place("hsm.pin_source", config.path(value), "signer", "signer", 0o600, at_most=True)
    if "SOFTHSM2_CONF" in hsm.environment:
        yield Place("hsm.environment", config.path(hsm.environment["SOFTHSM2_CONF"]).parent, "signer", "signer", 0o700)
    yield Place("signer.state_dir", config.path(signer.state_dir), "signer", "signer", 0o700)
    yield Place("signer.socket", config.path(signer.socket).parent, "signer", "clients", 0o2750)
    yield Place("acme.validation.socket", config.path(acme.validation.socket).parent, "fetcher", "records", 0o2750)
    if config.database.url.startswith("sqlite:///"):
        file = Path(config.database_url().removeprefix("sqlite:///"))
        yield Place("database.url", file.parent, "scheduler", "records", 0o2770)
    yield Place("ca.publication_dir", config.path(config.ca.publication_dir), "scheduler", "records", 0o2775)
    yield Place("server.tls_dir", config.path(server.tls_dir), "scheduler", "records", 0o2770)
    yield Place("acme.nonce_dir", config.path(acme.nonce_dir), "web", "web", 0o700)
    yield Place("acme.eab_key_file", config.path(acme.eab_key_file).parent, "web", "web", 0o700)
    yield Place("server.metrics_dir", config.path(server.metrics_dir), "root", "everyone", 0o3770)


def furnish(found: tuple[Place, ...], users: Users) -> None:
    """Makes the folders that are missing, as root; what is there stays as it is. Raises `ConfigError`, `OSError`."""
    for one in found:
        if one.at_most and one.owner != "root":
            own = replace(one, path=one.path.parent, mode=0o700)
            _make(own, users)
        elif not one.at_most:
            _make(one, users)


def _make(place: Place, users: Users) -> None:
    if place.path.exists():
        return
    place.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    _demand_safe_way(place, {0, users.uid(place.owner)})
    place.path.mkdir(mode=0o700)
    place.path.chmod(place.mode)
    os.chown(place.path, users.uid(place.owner), users.gid(place.group))


def inspect(place: Place, users: Users) -> str:
    """What the place is like, when it is as the table says and nobody else can put another in its way.

    Raises `ConfigError` with the command that mends it.
    """
    try:
        found = place.path.stat()
    except FileNotFoundError:
        raise _wrong(place, f"{place.path} does not exist", _making(place, users)) from None
    except PermissionError:
        raise _wrong(place, f"{place.path} cannot be looked at by this user", "Ask again as root") from None
    _demand_owner(place, found, users)
    mode = stat.S_IMODE(found.st_mode)
    if mode & ~place.mode or (mode != place.mode and not place.at_most):
        raise _wrong(
            place, f"{place.path} has mode {mode:04o} and not {place.mode:04o}", f"chmod {place.mode:04o} {place.path}"
        )
    _demand_safe_way(place, {0, users.uid(place.owner)})
    return f"{place.path} ({place.owner}:{place.group} {mode:04o})"


def _demand_owner(place: Place, found: os.stat_result, users: Users) -> None:
    uid, gid = users.uid(place.owner), users.gid(place.group)
    # Nobody gains by a group that may do nothing, or by one in which root alone is meant.
    matters = not place.at_most and bool(place.mode & stat.S_IRWXG)
    if found.st_uid != uid or (matters and found.st_gid != gid):
        raise _wrong(
            place,
            f"{place.path} belongs to {found.st_uid}:{found.st_gid} and not to {place.owner} ({uid}:{gid})",
            f"chown {uid}:{gid} {place.path}",
        )


def _demand_safe_way(place: Place, owners: set[int]) -> None:
    """No folder on the way lets others put something else there."""
    for folder in place.path.resolve().parents:
        found = folder.stat()
        if found.st_uid not in owners or (found.st_mode & _OTHERS_WRITE and not found.st_mode & stat.S_ISVTX):
            raise _wrong(
                place, f"others can replace what lies in {folder}", f"chown root {folder}; chmod go-w {folder}"
            )


def _making(place: Place, users: Users) -> str:
    if place.at_most:
        return f"See {place.key} in docs/configuration.md"
    uid, gid = users.uid(place.owner), users.gid(place.group)
    return f"install -d -o {uid} -g {gid} -m {place.mode:04o} {place.path}"


def _wrong(place: Place, detail: str, step: str) -> ConfigError:
    return ConfigError(f"{place.key}: {detail}.", next_step=f"{step}.")
