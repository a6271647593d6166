"""What the doctor looks at in production besides the service itself: users, places, sockets and where keys come from.

Each check answers a line or raises the error that names the next step. In a demo, which runs as one user, all of
them say so and demand nothing.
"""

import grp
import os
import pwd
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from urllib.parse import urlsplit

from ca.config import Config
from ca.errors import ConfigError
from ca.places import Place, inspect, places
from ca.users import MEMBERS, Users, resolve

DEMO = "a demo runs as one user"


def mode(config: Config) -> str:
    """The mode, and what it means."""
    return "production" if config.mode == "production" else "demo: nobody may trust it, and its keys never leave it"


def users(config: Config) -> str:
    """Five users that differ, and no one in a group that is not for it."""
    if config.mode != "production":
        return DEMO
    found = resolve(config.users)
    for process in MEMBERS:
        _demand_groups(found, process)
    return ", ".join(f"{process} {found[process].uid}" for process in MEMBERS)


def _demand_groups(found: Users, process: str) -> None:
    """The accounts as the machine has them; a number without an account is in no group by itself."""
    user = found[process]
    try:
        account = pwd.getpwuid(user.uid)
    except KeyError:
        return
    foreign = {*found.shared.values(), *(found[one].gid for one in MEMBERS if one != process)} - set(
        found.groups(process)
    )
    wrong = sorted({0, *foreign} & set(os.getgrouplist(account.pw_name, account.pw_gid)))
    if wrong:
        raise ConfigError(
            f"{account.pw_name} is in the group {_group(wrong[0])}, which is not for the {process}.",
            next_step=f"gpasswd --delete {account.pw_name} {_group(wrong[0])}",
        )


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def place_checks(config: Config) -> dict[str, Callable[[Config], str]]:
    """One check for each place, each naming the command that mends it. Raises `ConfigError` for places that clash."""
    if config.mode != "production":
        return {}
    found = (*places(config), *_sockets(config))
    return {f"place {one.key}": partial(_place, one) for one in found}


def _place(place: Place, config: Config) -> str:
    return inspect(place, resolve(config.users))


def _sockets(config: Config) -> Iterator[Place]:
    """Those that are there: that somebody listens is for other checks."""
    signer, fetcher = config.path(config.signer.socket), config.path(config.acme.validation.socket)
    for place in (
        Place("socket of the signer", signer, "signer", "clients", 0o660),
        Place("socket of the fetcher", fetcher, "fetcher", "records", 0o660),
    ):
        if place.path.exists():
            yield place


def settings(config: Config) -> str:
    """Which keys the environment sets, and that no password stands where every process reads it."""
    named = sorted(name for name in os.environ if name.startswith("CERTWRIGHT_") and "__" in name)
    if config.mode == "production" and _has_password(config, named):
        raise ConfigError(
            f"{config.file} holds the database's password, and status plane and fetcher read that file.",
            next_step="Give web and scheduler alone CERTWRIGHT_DATABASE__URL, or a passfile (docs/postgresql.md).",
        )
    return f"from the environment: {', '.join(named)}" if named else "everything comes from the file"


def _has_password(config: Config, named: list[str]) -> bool:
    database = config.database
    return any(
        urlsplit(url).password
        for key, url in (("URL", database.url), ("MIGRATE_URL", database.migrate_url))
        if f"CERTWRIGHT_DATABASE__{key}" not in named
    )


CHECKS: Mapping[str, Callable[[Config], str]] = {
    "mode": mode,
    "settings": settings,
    "users": users,
}
