"""`certwright ca cross-sign`, step by step: the root, the CA that it certifies, what is to be signed, the ceremony."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509

from ca.authority import Authority
from ca.ceremony.cross import cross_sign, demand_permitted
from ca.ceremony.plans import CrossPlan, RootPlan
from ca.ceremony.subjects import demand_authority
from ca.ceremony.transcript import sha256
from ca.clock import rfc3339
from ca.errors import BadCSR, BadRequest
from ca.profiles import certificate_period
from ca.records import Issuer
from cli.ceremony import permitted, room
from cli.lists import root_opened, root_plan, signing_root
from cli.types import certificate_der


@dataclass(frozen=True)
class Plan:
    """Which root certifies what."""

    root: RootPlan
    cross: CrossPlan
    transcript: Path

    def summary(self) -> dict[str, Any]:
        """For --dry-run and those who are asked."""
        subject = x509.load_der_x509_certificate(self.cross.subject)
        length = self.cross.path_length
        return {
            "root": self.root.id,
            "issuer": self.cross.id,
            "subject": subject.subject.rfc4514_string(),
            "sha256": sha256(self.cross.subject),
            "days": self.cross.life // 86400,
            "permitted": ", ".join(self.cross.permitted) or "as in its own certificate",
            "path_length": "as in its own certificate" if length is None else length,
            "transcript": f"{self.transcript}.json, {self.transcript}.txt",
        }


def plan(authority: Authority, options: Mapping[str, Any]) -> Plan:
    """The plan of the command line's options, with all looked at that can be refused before the token is opened.

    Raises `BadRequest`, `ConfigError`, `Conflict`, `NotFound` and `PolicyDenied`.
    """
    root = signing_root(authority, options["root"])
    subject, given = _subject(authority, options["subject"])
    cross_id = options["cross_id"] or (f"{given}-by-{root.id}" if given else "")
    if not cross_id:
        raise BadRequest("The certificate of a foreign CA needs an id here.", next_step="Name one, by --id partner-g1.")
    cross = CrossPlan(
        id=cross_id,
        subject=subject,
        request=_request(options["csr"]),
        life=options["life"],
        permitted=_permitted(authority, subject, options),
        unconstrained=options["unconstrained"],
        path_length=options["path_length"],
    )
    demand_permitted(room(authority, authority.signer), root, cross)
    place = options["transcript"] or authority.config.path(f"ceremony-{cross_id}")
    return Plan(root_plan(authority, root), cross, place.resolve())


def _subject(authority: Authority, named: str) -> tuple[bytes, str]:
    """The certificate of a file or of an id, and the id if it is one of ours. Raises `NotFound` and `BadRequest`."""
    if Path(named).is_file():
        der = certificate_der(Path(named).read_bytes())
        ours = (one.id for one in authority.store.issuers() if one.certificate == der)
        return der, next(ours, "")
    one: Issuer = authority.store.issuer(named)
    return one.certificate, one.id


def _request(file: Path | None) -> bytes:
    """The CSR in a file, in DER; empty for none."""
    if file is None:
        return b""
    from cryptography.hazmat.primitives.serialization import Encoding

    data = file.read_bytes()
    try:
        loaded = x509.load_pem_x509_csr(data) if b"-----BEGIN" in data else x509.load_der_x509_csr(data)
    except ValueError:
        raise BadCSR(f"{file} holds no CSR.", next_step="Name a PEM or DER file.") from None
    return loaded.public_bytes(Encoding.DER)


def _permitted(authority: Authority, subject: bytes, options: Mapping[str, Any]) -> tuple[str, ...]:
    """As asked for; else a CA keeps its own name constraints, and one that has none gets the configured ones."""
    certificate = x509.load_der_x509_certificate(subject)
    demand_authority(certificate)
    has_own = any(isinstance(one.value, x509.NameConstraints) for one in certificate.extensions)
    return tuple(options["permit"]) if has_own else permitted(authority.config, options)


def perform(authority: Authority, plan: Plan, options: Mapping[str, Any]) -> dict[str, Any]:
    """Holds it, and answers what is published now. May be done again after an error. It needs no signer."""
    with root_opened(authority, plan.root, plan.transcript, options) as (key, seen):
        made = cross_sign(room(authority, authority.signer), plan.root, key, plan.cross, seen)
    return {
        "issuer": made.id,
        "by": plan.root.id,
        "until": rfc3339(certificate_period(made.certificate).not_after),
        "sha256": sha256(made.certificate),
        "published": f"{authority.config.server.status_url}/ca/{made.id}.pem",
        "transcript": f"{plan.transcript}.json",
    }
