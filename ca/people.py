"""People: who may sign in, what each role may do, what a sign-in is. Values and tables; nothing is fetched.

A right is given by a role or not at all; who has no way to sign in again (no passkey, no password) has no right.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ca.errors import BadRequest, Denied, StepUpNeeded
from ca.records import Actor


class Right(StrEnum):
    """What a person may do at the desk."""

    SEE = "see"
    ISSUE = "issue"
    KEEP_OWN = "keep-own"
    KEEP = "keep"
    REVOKE_OWN = "revoke-own"
    REVOKE = "revoke"
    REVOKE_MANY = "revoke-many"
    SEE_JOURNAL = "see-journal"
    SEE_PEOPLE = "see-people"
    MANAGE_PEOPLE = "manage-people"
    MANAGE_TOKENS = "manage-tokens"
    RUN_JOBS = "run-jobs"
    APPROVE = "approve"


MEANING: Mapping[Right, str] = {
    Right.SEE: "see certificates, CAs, publication, jobs and reports; every role has it",
    Right.ISSUE: "issue for a CSR or a key made in the browser",
    Right.KEEP_OWN: "tag and hand over what the own teams own",
    Right.KEEP: "tag and hand over anything",
    Right.REVOKE_OWN: "revoke what the own teams own",
    Right.REVOKE: "revoke anything, one by one",
    Right.REVOKE_MANY: "propose mass revocations; in an emergency alone",
    Right.SEE_JOURNAL: "read, verify and export the journal",
    Right.SEE_PEOPLE: "see who may sign in, and what waits for approval",
    Right.MANAGE_PEOPLE: "propose people and roles, shut people out",
    Right.MANAGE_TOKENS: "end tokens and external account bindings",
    Right.RUN_JOBS: "run jobs out of turn, try channels",
    Right.APPROVE: "approve what others propose, by a passkey",
}
"""What each right is for, in words for people."""

Roles = Mapping[str, frozenset[Right]]
"""What each role gives: the built-in ones and those of the configuration (`Config.every_role`)."""

ROLES: Roles = {
    "viewer": frozenset({Right.SEE}),
    "auditor": frozenset({Right.SEE, Right.SEE_JOURNAL, Right.SEE_PEOPLE}),
    "operator": frozenset({Right.SEE, Right.ISSUE, Right.KEEP_OWN, Right.REVOKE_OWN, Right.RUN_JOBS}),
    "security-officer": frozenset(
        {
            Right.SEE,
            Right.SEE_JOURNAL,
            Right.SEE_PEOPLE,
            Right.KEEP_OWN,
            Right.KEEP,
            Right.REVOKE_OWN,
            Right.REVOKE,
            Right.REVOKE_MANY,
            Right.APPROVE,
        }
    ),
    "administrator": frozenset(
        {Right.SEE, Right.SEE_PEOPLE, Right.MANAGE_PEOPLE, Right.MANAGE_TOKENS, Right.RUN_JOBS, Right.APPROVE}
    ),
}
"""Separated duties: who manages people revokes nothing, who revokes manages nobody. One person may have several."""


BESIDE: Mapping[Right, Right] = {
    Right.KEEP: Right.KEEP_OWN,
    Right.REVOKE: Right.REVOKE_OWN,
    Right.APPROVE: Right.SEE_PEOPLE,
}
"""Rights that are asked for only behind another, and so give nothing without it."""


def check_rights(rights: Collection[Right]) -> None:
    """Raises `ValueError` for rights of a role of which one would open nothing."""
    if Right.SEE not in rights:
        raise ValueError(f"rights: without {Right.SEE} it opens nothing")
    for right, other in BESIDE.items():
        if right in rights and other not in rights:
            raise ValueError(f"rights: {right} needs {other} beside it")


def parse_roles(names: tuple[str, ...], roles: Roles) -> tuple[str, ...]:
    """The roles of these names, each once, in the order of `roles`. Raises `BadRequest` for another, or for none."""
    unknown = [name for name in names if name not in roles]
    if unknown or not names:
        raise BadRequest(
            f"{unknown[0]!r} is no role." if unknown else "A user needs a role.",
            next_step=f"Use some of {', '.join(roles)}.",
        )
    return tuple(name for name in roles if name in names)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may sign in. `id` is the name that the journal knows, and is never given to another.

    `password` is an argon2id hash, `totp` the one-time-password secret sealed under the password; both empty for
    people with passkeys alone. `totp_step` is the last step that was used. `teams` own certificates by their `owner`.
    `subject` is who he is at a provider of OpenID Connect, which then says his roles and teams; empty for others.
    """

    id: str
    roles: tuple[str, ...]
    teams: tuple[str, ...] = ()
    created_at: int = 0
    created_by: str = ""
    granted_at: int = 0
    granted_by: str = ""
    disabled_at: int = 0
    password: str = ""
    totp: bytes = b""
    totp_step: int = 0
    subject: str = ""

    def rights(self, roles: Roles) -> frozenset[Right]:
        """What his roles give together; one that `roles` does not know gives nothing."""
        return frozenset[Right]().union(*(roles.get(role, frozenset()) for role in self.roles))

    def owns(self, owner: str) -> bool:
        """Whether certificates of that owner belong to one of the teams."""
        return bool(owner) and owner in self.teams


@dataclass(frozen=True, slots=True)
class Passkey:
    """A WebAuthn credential; `id` is base64url, `public_key` a COSE key."""

    id: str
    person: str
    name: str
    public_key: bytes
    sign_count: int
    created_at: int
    last_used: int = 0


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A TLS client certificate, by the SHA-256 (hex) of its DER, and whom it signs in; `subject` is for people."""

    sha256: str
    person: str
    subject: str
    not_after: int
    bound_at: int
    bound_by: str


@dataclass(frozen=True, slots=True)
class SavedView:
    """A query that a person keeps under a name, for himself (`team` empty) or also for one of his teams."""

    id: str
    person: str
    name: str
    query: str
    team: str
    created_at: int


@dataclass(frozen=True, slots=True)
class SignIn:
    """One sign-in that holds until `expires_at`, until it lay idle, or until it is ended.

    `method` is link, password, passkey, oidc or certificate; `fresh_at` is when its person last proved to be there.
    """

    id: str
    person: str
    method: str
    created_at: int
    seen_at: int
    fresh_at: int
    expires_at: int
    ended_at: int = 0
    address: str = ""
    agent: str = ""

    @property
    def actor(self) -> Actor:
        """The person as the journal names him."""
        return Actor("user", self.person, self.method)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A deed that one person proposes and another approves within its time.

    `body` is canonical JSON. `state` is open, approved, refused, done or failed; `assertion` is the approver's WebAuthn
    assertion over `digest`, `outcome` what came of it.
    """

    id: str
    kind: str
    body: str
    proposed_by: str
    proposed_at: int
    expires_at: int
    state: str = "open"
    decided_by: str = ""
    decided_at: int = 0
    assertion: str = ""
    outcome: str = ""

    @property
    def why(self) -> str:
        """Why it could not wait for a second person; empty where it did."""
        return str(json.loads(self.body).get("emergency", ""))

    @property
    def changes(self) -> tuple[tuple[str, Any, Any], ...]:
        """Of a weaker policy each setting with its approved and its wanted JSON value; empty for other kinds."""
        found = json.loads(self.body).get("changes", ())
        return tuple((one["key"], one["approved"], one["wanted"]) for one in found)

    def is_by(self, person: str) -> bool:
        """Whether that person proposed it, also as an operator with the same login name: `operator:alice (sudo)`."""
        return login_of(self.proposed_by) == login_of(person)

    def is_by_giver(self, person: Person) -> bool:
        """Whether whoever gave that person his roles proposed it.

        Not when he gave them on the host and proposes in the browser: so do the first people of each CA come in, and
        who has the host can do it all without any of them (docs/threat-model.md).
        """
        host = "operator:"
        if person.granted_by.startswith(host) and not self.proposed_by.startswith(host):
            return False
        return login_of(self.proposed_by) == login_of(person.granted_by)

    @property
    def digest(self) -> bytes:
        """SHA-256 over everything that was proposed: what the approver signs."""
        parts = [self.id, self.kind, self.body, self.proposed_by, str(self.proposed_at), str(self.expires_at)]
        return hashlib.sha256(json.dumps(parts).encode()).digest()


def login_of(actor: str) -> str:
    """By whom it is, as records name him: `alice` for `operator:alice (sudo)`, `operator:alice`, `user:alice`, `Alice`.

    One login name is one person, wherever he is: else he would be his own second person.
    """
    return actor.removeprefix("operator:").removeprefix("user:").removesuffix(" (sudo)").casefold()


def demand(person: Person, right: Right, roles: Roles) -> None:
    """Returns when the person has the right. Raises `Denied` naming the roles that give it."""
    if right not in person.rights(roles):
        giving = ", ".join(role for role, rights in roles.items() if right in rights)
        raise Denied(
            f"This needs the right {right}, which {person.id} does not have.",
            next_step=f"Ask an administrator for one of the roles {giving}.",
        )


def demand_fresh(sign_in: SignIn, now: int, seconds: int) -> None:
    """Returns when the person proved to be there in the last `seconds`. Raises `StepUpNeeded`."""
    if sign_in.fresh_at + seconds <= now:
        raise StepUpNeeded(
            "This needs you to prove again that it is you.", next_step="Confirm by your passkey or password."
        )
