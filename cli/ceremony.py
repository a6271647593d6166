"""`certwright ca init`, step by step: the plan, the root's token, the signer, the ceremony, the first publications.

This process alone opens the root's token, and it lives no longer than the ceremony.
"""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ca import store
from ca.authority import Authority
from ca.ceremony.hold import Minutes, Outcome, hold
from ca.ceremony.plans import IssuingPlan, RootPlan, demo_issuing, demo_root
from ca.ceremony.room import Room
from ca.ceremony.root_key import RootKey, open_root_key
from ca.ceremony.transcript import Transcript
from ca.config import Config
from ca.errors import ConfigError, NotFound
from ca.keys.client import SignerClient
from ca.keys.pin import read_pin
from ca.keys.softhsm import provision_softhsm
from ca.keys.token import Token
from ca.records import Actor
from cli import signing
from cli.files import write_whole
from cli.privileges import prepare_places
from cli.session import Session, operator
from cli.shapes import ca_certificate

ROOT_LABEL = "certwright-root"


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before the first key is touched."""

    root: RootPlan
    issuing: IssuingPlan
    root_dir: Path
    transcript: Path
    witnesses: tuple[str, ...]
    attestation: str

    def summary(self) -> dict[str, Any]:
        """For --dry-run and those who are asked."""
        permitted = list(self.issuing.permitted) or ["everything (--unconstrained)"]
        return {
            "root": self.root.id,
            "root_subject": self.root.common_name,
            "root_algorithm": self.root.algorithm,
            "root_days": self.root.life // 86400,
            "root_token": f"software token in {self.root_dir}",
            "issuer": self.issuing.id,
            "subject": self.issuing.common_name,
            "algorithm": self.issuing.algorithm,
            "days": self.issuing.life // 86400,
            "permitted": ", ".join(permitted),
            "transcript": f"{self.transcript}.json, {self.transcript}.txt",
        }


def plan(config: Config, options: Mapping[str, Any]) -> Plan:
    """The plan of the command line's options. Raises `ConfigError` when it cannot be held."""
    root, issuing = _demo_plans(config, options) if config.mode == "demo" else _plans(config, options)
    return planned(config, replace(root, algorithm=options["root_algorithm"]), issuing, options)


def planned(config: Config, root: RootPlan, issuing: IssuingPlan, options: Mapping[str, Any]) -> Plan:
    """What is to be made, with the options that every ceremony has."""
    statement: Path | None = options["attestation"]
    return Plan(
        root=root,
        issuing=issuing,
        root_dir=options["root_dir"].resolve(),
        transcript=(options["transcript"] or config.path(f"ceremony-{issuing.id}")).resolve(),
        witnesses=options["witnesses"],
        attestation=statement.read_text() if statement else "",
    )


def _plans(config: Config, options: Mapping[str, Any]) -> tuple[RootPlan, IssuingPlan]:
    name, organization, owner = config.ca.issuer, options["organization"], options["owner"]
    root = RootPlan(organization=organization, owner=owner)
    issuing = IssuingPlan(
        id=f"{name}-g1",
        name=name,
        common_name=f"Certwright {name.capitalize()} G1",
        organization=organization,
        algorithm=options["algorithm"],
        life=options["life"] or 1825 * 86400,
        permitted=permitted(config, options),
        unconstrained=options["unconstrained"],
        owner=owner,
    )
    return root, issuing


def _demo_plans(config: Config, options: Mapping[str, Any]) -> tuple[RootPlan, IssuingPlan]:
    return demo_root(), replace(demo_issuing(permitted(config, options)), algorithm=options["algorithm"])


def permitted(config: Config, options: Mapping[str, Any]) -> tuple[str, ...]:
    """The name constraints: as asked for, else as configured. Raises `ConfigError` for a demo without any."""
    if options["unconstrained"] and config.mode == "demo":
        raise ConfigError("A demo is always constrained.", next_step="Leave out --unconstrained.")
    return tuple(options["permit"]) or (() if options["unconstrained"] else tuple(config.ca.permitted_names))


def perform(session: Session, plan: Plan) -> dict[str, Any]:
    """Holds the ceremony and publishes the first CRL; answers what there is now. May be done again after an error."""
    config = session.config
    prepare_places(config)
    store.bring_up_to_date(config)
    with signing.signer(config, session.config_path) as signer, session.authority() as authority:
        token = _root_token(authority.config, plan.root_dir)
        try:
            outcome = held(authority, signer, plan, open_root_key(token, plan.root, authority.clock))
        finally:
            token.close()
        authority.publish_crls()
        authority.sequence_journal()
    root = ca_certificate(outcome.root.certificate)
    return {"root": outcome.root.id, "root_sha256": root["sha256"], "issuer": outcome.issuing.id, **_where(plan)}


def _where(plan: Plan) -> dict[str, str]:
    return {
        "root_token": f"SOFTWARE TOKEN in {plan.root_dir}: take it offline, with its PIN elsewhere",
        "transcript": f"{plan.transcript}.json",
    }


def held(authority: Authority, signer: SignerClient, plan: Plan, key: RootKey) -> Outcome:
    """The ceremony of the plan, with the root's key at hand."""
    seen = minutes(plan.transcript, plan.witnesses, plan.attestation)
    return hold(room(authority, signer), plan.root, plan.issuing, key, seen)


def room(authority: Authority, signer: SignerClient) -> Room:
    """Where ceremonies are held: over these records."""
    return Room(
        authority.store,
        authority.journal,
        authority.publisher,
        signer,
        authority.clock,
        authority.config.server.status_url,
    )


def minutes(transcript: Path, witnesses: tuple[str, ...], attestation: str) -> Minutes:
    """Who holds it and who sees it, and where the transcript goes."""
    actor = Actor("ceremony", operator().id)
    return Minutes(actor, lambda one: _archive(transcript, one), witnesses, attestation)


def _archive(place: Path, transcript: Transcript) -> None:
    """Before anything is recorded: a ceremony without a transcript on disk does not happen."""
    place.parent.mkdir(parents=True, exist_ok=True)
    write_whole(Path(f"{place}.json"), transcript.json().decode(), mode=0o644)
    write_whole(Path(f"{place}.txt"), transcript.text(), mode=0o644)


def _root_token(config: Config, folder: Path) -> Token:
    """The root's token in its own store; made, with a random PIN beside it, when there is none."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / "pin").exists():
        write_whole(folder / "pin", secrets.token_hex(16) + "\n")
    return brought_token(config, folder)


def brought_token(config: Config, folder: Path) -> Token:
    """The token in a folder that somebody brought along. Raises `NotFound` when there is none."""
    if not (folder / "pin").exists():
        raise NotFound(f"There is no root's token in {folder}.", next_step="Bring the medium of the first ceremony.")
    module = config.hsm.module or os.environ.get("CERTWRIGHT_PKCS11_MODULE", "")
    pin = read_pin("file:pin", folder)
    environment = provision_softhsm(folder, ROOT_LABEL, pin, module)
    return Token.open(module, ROOT_LABEL, pin, environment=environment)
