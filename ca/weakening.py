"""Policy that gets weaker: which settings permit more than what was approved, and what holds of them meanwhile.

    approved = policy_of(config)               # the settings that are policy, as JSON values by key
    held, found = hold(later, approved)        # the configuration that holds, and each setting that waits

A setting that became weaker keeps its approved value until a second person agrees; all others hold at once. What the
signer and the fetcher read from the file themselves is not among them: they have no records to compare it with.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from ca.config import Config
from ca.errors import BadName
from ca.names import Pattern, reserved_texts, subtrees
from ca.sections import duration

Values = Mapping[str, Any]
"""JSON values by key, as in `ca.permitted_names` or `profiles.server.validity`."""


@dataclass(frozen=True, slots=True)
class Weakening:
    """One setting that permits more than what was approved; `approved` is None for one that was not there."""

    key: str
    approved: Any
    wanted: Any


# --- rules: is the second value weaker than the first? ---


def _switched_on(before: bool, after: bool) -> bool:
    return after and not before


def _switched_off(before: bool, after: bool) -> bool:
    return before and not after


def _more(before: list[str], after: list[str]) -> bool:
    return bool(set(after) - set(before))


def _fewer(before: list[str], after: list[str]) -> bool:
    return _more(after, before)


def _longer(before: int, after: int) -> bool:
    return after > before


def _roomier(before: int, after: int) -> bool:
    """Of limits, where 0 is none."""
    return (after or float("inf")) > (before or float("inf"))


def _other(before: Any, after: Any) -> bool:
    return bool(before != after)


def _wider(patterns: Callable[[list[str]], tuple[Pattern, ...]]) -> Callable[[list[str], list[str]], bool]:
    """Of names that are permitted, where no pattern is every name."""

    def rule(before: list[str], after: list[str]) -> bool:
        if not before or not after:
            return bool(before)
        try:
            known = patterns(before)
            return not all(any(one.covers(new) for one in known) for new in patterns(after))
        except BadName:
            return True

    return rule


def _parsed(texts: list[str]) -> tuple[Pattern, ...]:
    return tuple(map(Pattern.parse, texts))


def _strangers(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Of signing in at a provider: another one, or groups that give more than they did. None at all is never weaker."""
    groups = ("roles", "teams")
    if not after["issuer"]:
        return False
    if any(before[name] != after[name] for name in after if name not in groups):
        return True
    return any(_more(before[name].get(one, []), after[name][one]) for name in groups for one in after[name])


def _another_door(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Of signing in by client certificates: opened, or open to what other roots vouch for."""
    return bool(after["listen"]) and (not before["listen"] or before["ca_file"] != after["ca_file"])


RULES: Mapping[str, Callable[[Any, Any], bool]] = {
    "approvals.commands": _switched_off,
    "approvals.policy": _switched_off,
    "ca.issuer": _other,
    "ca.permitted_names": _wider(subtrees),
    "ca.reserved_names": _fewer,
    "acme.external_account_required": _switched_off,
    "acme.profiles": _more,
    "acme.challenges": _more,
    "acme.caa": lambda before, after: _switched_off(before == "on", after == "on"),
    "acme.caa_identities": _other,
    "acme.subdomains": _switched_on,
    "acme.authorization_life": _longer,
    "acme.star.enabled": _switched_on,
    "acme.star.max_duration": _longer,
    "acme.star.allow_certificate_get": _switched_on,
    "acme.limits.orders_per_account": _roomier,
    "acme.limits.orders_per_name": _roomier,
    "acme.limits.accounts_per_address": _roomier,
    "acme.limits.failures": _roomier,
    "server.trusted_proxies": _more,
    "ui.session_idle": _longer,
    "ui.session_life": _longer,
    "ui.fresh": _longer,
    "ui.oidc": _strangers,
    "ui.client_certificates": _another_door,
}
"""The settings that are policy."""

ENTRY_RULES: Mapping[str, Mapping[str, Callable[[Any, Any], bool]]] = {
    "profiles": {
        "key_types": _more,
        "extended_key_usage": _more,
        "name_kinds": _more,
        "permitted_names": _wider(_parsed),
        "allow_wildcard": _switched_on,
        "validity": _longer,
        "max_validity": _longer,
        "backdate": _longer,
        "no_revocation": _switched_on,
    },
    "roles": {"rights": _more},
}
"""Policy in the tables by name. An entry that was not there permits what nothing permitted before."""


def policy_of(config: Config) -> Values:
    """The settings of a configuration that are policy."""
    tree = config.model_dump(mode="json")
    found = {key: _at(tree, key) for key in RULES}
    found["ca.reserved_names"] = sorted(
        reserved_texts(config)
    )  # those of the own doors too: whoever moves one frees it
    for table, rules in ENTRY_RULES.items():
        for name, entry in tree[table].items():
            found |= {f"{table}.{name}.{field}": entry[field] for field in rules}
            if table == "profiles":
                found[f"{table}.{name}.max_validity"] = max(entry["max_validity"], entry["validity"])
    return found


def weakenings(approved: Values, wanted: Values) -> tuple[Weakening, ...]:
    """What is weaker in the second than in the first, by key.

    A setting (not an entry of a table) that the first does not know became policy with a newer version: it is taken
    as it is, for there is nothing to put back.
    """
    return tuple(
        Weakening(key, approved.get(key), value)
        for key, value in sorted(wanted.items())
        if (_rule(key)(approved[key], value) if key in approved else key not in RULES)
    )


def hold(config: Config, approved: Values) -> tuple[Config, tuple[Weakening, ...]]:
    """The configuration with the approved value of each setting that became weaker, and those settings."""
    found = weakenings(approved, policy_of(config))
    tree = config.model_dump(mode="json")
    for one in found:
        _put_back(tree, one)
    for name in set(tree["acme"]["profiles"]) - set(tree["profiles"]):
        if entry := _entry("profiles", name, approved):  # ACME goes on offering one that was removed
            tree["profiles"][name] = entry
    changed = {one.key.partition(".")[0] for one in found} | ({"profiles"} if found else set())
    return config.model_copy(update={name: _typed(name, tree[name]) for name in changed}), found


def _rule(key: str) -> Callable[[Any, Any], bool]:
    table, _, field = _split(key)
    return RULES.get(key) or ENTRY_RULES.get(table, {}).get(field, _other)


def _at(tree: Mapping[str, Any], key: str) -> Any:
    for part in key.split("."):
        tree = tree[part]
    return tree


def _put_back(tree: dict[str, Any], one: Weakening) -> None:
    table, name, field = _split(one.key)
    if table not in ENTRY_RULES:
        _at(tree, one.key.rpartition(".")[0])[field] = one.approved
    elif one.approved is None:
        tree[table].pop(name, None)
    else:
        tree[table][name][field] = one.approved


def _split(key: str) -> tuple[str, str, str]:
    """Table, name of the entry (which may have dots) and field."""
    table, _, rest = key.partition(".")
    name, _, field = rest.rpartition(".")
    return table, name, field


def _entry(table: str, name: str, approved: Values) -> dict[str, Any]:
    head = f"{table}.{name}."
    return {key.removeprefix(head): value for key, value in approved.items() if key.startswith(head)}


def _typed(name: str, value: Any) -> Any:
    annotation: Any = Config.model_fields[name].annotation
    return TypeAdapter(annotation).validate_python(value)


def legible(value: Any, key: str) -> str:
    """A value of that setting for people: times as in the file, what is not there in words, the rest in JSON."""
    if value is None:
        return "not there"
    return duration(value) if _rule(key) is _longer else json.dumps(value)


def told(found: tuple[Weakening, ...]) -> Iterator[Mapping[str, Any]]:
    """For journals and people, as JSON values."""
    return ({"key": one.key, "approved": one.approved, "wanted": one.wanted} for one in found)
