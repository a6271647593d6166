"""`certwright ca rotate`, step by step: what is next, the ceremony of the next generation, its taking over.

Each step stands in the records when it is done, so the same command, typed again, goes on where it stopped.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from ca.authority import Authority, rotation
from ca.ceremony.plans import IssuingPlan, RootPlan
from ca.ceremony.root_key import find_root_key
from ca.clock import rfc3339
from ca.errors import BadRequest, ConfigError, Conflict, NotFound
from ca.keys.client import SignerClient
from ca.profiles import certificate_period
from ca.records import Issuer
from cli import signing
from cli.ceremony import Plan, brought_token, held, permitted, planned
from cli.privileges import prepare_places
from cli.session import Session, operator

DRAINING = 30.0
"""Seconds that certificates which the old generation has begun may take, before its key signs CRLs alone."""

BEGINNING = 1.0
"""Seconds that a transaction takes at most in which a certificate is intended."""

_GENERATION = re.compile(r"-g([1-9][0-9]{0,5})")


@dataclass(frozen=True)
class Step:
    """What is next: to make a generation by a ceremony, if there is a `plan`, and to have it take over."""

    old: Issuer
    new: str
    plan: Plan | None

    def summary(self) -> dict[str, Any]:
        """For --dry-run and those who are asked."""
        made = self.plan.summary() if self.plan else {}
        return {"retires": self.old.id, "issuer": self.new, "ceremony": self.plan is not None, **made}


def next_step(authority: Authority, name: str, options: Mapping[str, Any]) -> Step:
    """What a rotation of that issuer has to do now. Raises `BadRequest`, `ConfigError` and `NotFound`."""
    old = authority.active_issuer(name)
    if authority.config.ca.issuer in {one.id for one in authority.store.issuers()}:
        raise ConfigError(
            f"ca.issuer names the generation {authority.config.ca.issuer}, so no other would issue.",
            next_step=f"Set ca.issuer = {old.name!r} and restart the service, then rotate.",
        )
    try:
        return Step(old, rotation.waiting(authority, old.name).id, None)
    except NotFound:
        plan = _plan(authority, old, options)
        return Step(old, plan.issuing.id, plan)


def _plan(authority: Authority, old: Issuer, options: Mapping[str, Any]) -> Plan:
    if options["root_dir"] is None:
        raise BadRequest(
            "The next generation is certified by the root.", next_step="Bring its medium, and name it by --root-dir."
        )
    root = authority.store.issuer(old.parent)
    if root.kind != "root" or authority.has_ended(root.id):
        raise Conflict(
            f"{root.id} can certify no further CA.", next_step="A new root is a new CA: see docs/hierarchy.md."
        )
    signs = RootPlan(root.id, root.name, root.id, algorithm=authority.store.key(root.key_id).algorithm)
    return planned(authority.config, signs, _issuing(authority, old, options), options)


def _issuing(authority: Authority, old: Issuer, options: Mapping[str, Any]) -> IssuingPlan:
    """As the generation before it, but for what is asked otherwise; the names are those of the configuration."""
    number = 1 + max(_number(one.id) for one in authority.store.issuers() if one.name == old.name)
    key, subject = authority.store.key(old.key_id), x509.load_der_x509_certificate(old.certificate).subject
    life = certificate_period(old.certificate)
    return IssuingPlan(
        id=f"{old.name}-g{number}",
        name=old.name,
        common_name=f"{re.sub(r' G[0-9]+$', '', _text(subject, NameOID.COMMON_NAME))} G{number}",
        organization=_text(subject, NameOID.ORGANIZATION_NAME),
        algorithm=options["algorithm"] or key.algorithm,
        life=options["life"] or life.not_after - life.not_before + 1,
        permitted=permitted(authority.config, options),
        unconstrained=options["unconstrained"],
        shards=len(authority.store.open_shards(old.id)),
        owner=options["owner"] or key.owner,
        waits=True,
    )


def _number(issuer_id: str) -> int:
    found = _GENERATION.search(issuer_id)
    return int(found[1]) if found else 1


def _text(subject: x509.Name, oid: x509.ObjectIdentifier) -> str:
    return "".join(str(one.value) for one in subject.get_attributes_for_oid(oid))


def finish(session: Session) -> dict[str, Any]:
    """Ends what an earlier rotation has begun and a crash cut off; answers which keys that were.

    It may be under way elsewhere, or cut off a moment ago: certificates that the old generation has begun come first.
    """
    with signing.signer(session.config, session.config_path), session.authority() as authority:
        if rotation.unsettled(authority):
            _drain(authority)
        return {"finished": list(rotation.settle(authority))}


def perform(session: Session, step: Step, *, later: bool) -> dict[str, Any]:
    """Does it, and answers what there is now. May be done again after an error."""
    prepare_places(session.config)
    with signing.signer(session.config, session.config_path) as signer, session.authority() as authority:
        if step.plan is not None:
            _hold(authority, signer, step.plan)
        authority.publish_crls()
        old = () if later else authority.take_over(step.new, operator())
        if old:
            _drain(authority)
            rotation.settle(authority)
        authority.sequence_journal()
        return _said(authority, step, old)


def _hold(authority: Authority, signer: SignerClient, plan: Plan) -> None:
    token = brought_token(authority.config, plan.root_dir)
    try:
        held(authority, signer, plan, find_root_key(token, plan.root, authority.clock))
    finally:
        token.close()


def _drain(authority: Authority) -> None:
    """Waits for what the old generation has begun; whoever chose it just before may write that down just after."""
    end = time.monotonic() + DRAINING
    time.sleep(BEGINNING)
    while rotation.under_way(authority) and time.monotonic() < end:
        time.sleep(0.1)


def _said(authority: Authority, step: Step, old: tuple[Issuer, ...]) -> dict[str, Any]:
    new = authority.store.issuer(step.new)
    return {
        "issuer": new.id,
        "state": new.state,
        "until": rfc3339(certificate_period(new.certificate).not_after),
        "retired": [one.id for one in old],
        **({"transcript": f"{step.plan.transcript}.json"} if step.plan else {}),
    }
