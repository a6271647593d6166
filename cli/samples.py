"""The demo's sample certificates: one of each kind, one soon to expire, one revoked. `python -m cli.samples`."""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from ca.authority import Authority
from ca.errors import CAError
from ca.names import parse_any
from ca.records import IssueRequest, Reason
from cli import problems
from cli.files import write_whole
from cli.processes import join_supervisor
from cli.session import Session, operator

DAY = 86400


@dataclass(frozen=True)
class Sample:
    """One certificate to look at."""

    file: str
    names: tuple[str, ...]
    profile: str
    owner: str
    days: int = 0
    revoked: bool = False


SAMPLES = (
    Sample("shop", ("shop.test", "www.shop.test"), "server", "shop team"),
    Sample("wildcard", ("*.apps.internal",), "server", "platform team", days=10),
    Sample("database", ("db.internal", "10.20.0.5"), "mtls", "data team"),
    Sample("backup", ("backup.internal",), "client", "data team", days=5),
    Sample("build", ("build.internal",), "short-lived", "platform team"),
    Sample("old", ("old.shop.test",), "server", "shop team", revoked=True),
)


def issue(authority: Authority, folder: Path) -> None:
    """Issues them all; key (0600) and chain go into `folder`."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for sample in SAMPLES:
        key = ec.generate_private_key(ec.SECP256R1())
        spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        names = tuple(map(parse_any, sample.names))
        certificate = authority.issue(
            IssueRequest(spki, names, sample.profile, operator(), validity=sample.days * DAY, owner=sample.owner)
        )
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_whole(folder / f"{sample.file}.key", pem.decode())
        write_whole(folder / f"{sample.file}.pem", authority.chain(certificate).decode(), mode=0o644)
        if sample.revoked:
            authority.revoke(certificate, Reason.SUPERSEDED, operator(), "a sample")


def main() -> None:
    """The process of its own that the demo starts."""
    join_supervisor()
    options = argparse.ArgumentParser(prog="python -m cli.samples")
    options.add_argument("--config", type=Path, required=True)
    options.add_argument("--dir", type=Path, required=True)
    chosen = options.parse_args()
    try:
        with Session(chosen.config).authority() as authority:
            issue(authority, chosen.dir)
    except (CAError, OSError) as error:
        sys.exit(problems.show(error, as_json=False))


if __name__ == "__main__":
    main()
