"""`certwright ca ceremony`, step by step: the root of these records, what is to be signed, the ceremony."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ca.authority import Authority, standing
from ca.ceremony.further import demand_revocable, next_number, renew_lists
from ca.ceremony.hold import Minutes
from ca.ceremony.plans import End, RootPlan, demo_root
from ca.ceremony.root_key import RootKey, find_root_key
from ca.clock import rfc3339
from ca.errors import BadRequest
from ca.records import Issuer, Reason
from cli.ceremony import brought_token, minutes, room


@dataclass(frozen=True)
class Plan:
    """What the root is to sign."""

    root: RootPlan
    number: int
    end: End | None
    transcript: Path

    def summary(self) -> dict[str, Any]:
        """For --dry-run and those who are asked."""
        end = {"revokes": self.end.issuer, "reason": self.end.reason.value} if self.end else {}
        shown = {"root": self.root.id, "first_crl": self.number, "spares": self.root.spares, **end}
        return {**shown, "transcript": f"{self.transcript}.json, {self.transcript}.txt"}


def plan(authority: Authority, options: Mapping[str, Any]) -> Plan:
    """The plan of the command line's options. Raises `BadRequest`, `Conflict` and `NotFound`."""
    root = signing_root(authority, options["root"])
    number = next_number(room(authority, authority.signer), root.id)
    place = options["transcript"] or authority.config.path(f"ceremony-{root.id}-crl-{number}")
    return Plan(root_plan(authority, root), number, _end(authority, root, options), place.resolve())


def signing_root(authority: Authority, named: str) -> Issuer:
    """The root of that id, or the one above the CA that issues. Raises `BadRequest` and `NotFound`."""
    one = authority.store.issuer(named) if named else authority.active_issuer()
    if named and one.kind != "root":
        raise BadRequest(f"{named} is no root.", next_step="See 'certwright ca list'.")
    while one.parent:
        one = authority.store.issuer(one.parent)
    return one


def root_plan(authority: Authority, root: Issuer) -> RootPlan:
    """The plan of a root that exists."""
    usual = demo_root() if authority.config.mode == "demo" else RootPlan()
    algorithm = authority.store.key(root.key_id).algorithm
    return replace(usual, id=root.id, name=root.name, common_name=root.id, algorithm=algorithm)


def _end(authority: Authority, root: Issuer, options: Mapping[str, Any]) -> End | None:
    if bool(options["revoke"]) != bool(options["reason"]):
        raise BadRequest("--revoke and --reason belong together.", next_step="Say which CA is revoked, and why.")
    if not options["revoke"]:
        return None
    issuer = authority.store.issuer(options["revoke"])
    demand_revocable(issuer, root.id)
    return End(issuer.id, Reason(options["reason"]))


@contextmanager
def root_opened(
    authority: Authority, root: RootPlan, transcript: Path, options: Mapping[str, Any]
) -> Iterator[tuple[RootKey, Minutes]]:
    """The root's key while its token is open, and where the minutes of that ceremony go. It needs no signer."""
    standing.demand_confirmed(authority)
    statement: Path | None = options["attestation"]
    seen = minutes(transcript, options["witnesses"], statement.read_text() if statement else "")
    token = brought_token(authority.config, options["root_dir"].resolve())
    try:
        yield find_root_key(token, root, authority.clock), seen
    finally:
        token.close()


def perform(authority: Authority, plan: Plan, options: Mapping[str, Any]) -> dict[str, Any]:
    """Holds it, and answers what is published now. May be done again after an error. It needs no signer."""
    with root_opened(authority, plan.root, plan.transcript, options) as (key, seen):
        made = renew_lists(room(authority, authority.signer), plan.root, key, seen, plan.end)
    return {
        "root": plan.root.id,
        "crl": made[0].number,
        "until": rfc3339(made[0].next_update),
        "with_spares_until": rfc3339(made[-1].next_update),
        **({"revoked": plan.end.issuer} if plan.end else {}),
        "transcript": f"{plan.transcript}.json",
    }
