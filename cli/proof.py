"""`certwright audit prove` and the offline half of `audit verify`: one entry of the journal, for an outsider."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ca.clock import rfc3339
from ca.errors import BadRequest
from ca.printable import printable
from cli.files import write_whole
from cli.output import answer
from cli.session import Session, command
from cli.types import certificate_der, find_certificate

if TYPE_CHECKING:
    from ca.authority import Authority
    from ca.journal.proof import Proof, Proven


@command()
@click.argument("certificate", required=False)
@click.option(
    "--event", type=click.IntRange(1, (1 << 63) - 1), help="The 'id' of any event, as 'audit tail --json' shows it."
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it to this file (default: print it)."
)
def prove(session: Session, certificate: str | None, event: int | None, out: Path | None) -> None:
    """Makes a proof that a certificate's issuance, or another event, stands in the journal as it was written.

    CERTIFICATE is a serial, a SHA-256 or a file. The proof names who asked and when: give it to those who may know.
    They verify it by 'audit verify --proof', without access to this CA.
    """
    from ca.journal import proof

    with session.authority() as authority:
        made = _made(authority, certificate, event)
    text = proof.write(made).decode()
    if out is None:
        click.echo(text, nl=False)
        return
    write_whole(out, text, mode=0o644)
    key = proof.fingerprint(made.key).hex()
    shape = {"proof": str(out), "index": made.index, "key": key}
    answer(
        session, shape, f"{out}: whoever trusts the key {key} verifies it by 'certwright audit verify --proof {out}'."
    )


def _made(authority: "Authority", certificate: str | None, event: int | None) -> "Proof":
    if event is not None and certificate is None:
        return authority.prove_event(event)
    if event is None and certificate is not None:
        return authority.prove_issuance(find_certificate(authority, certificate).serial)
    raise click.UsageError("Name one certificate, or one event by --event.")


def verify_proof(session: Session, file: Path, key: str, certificate: Path | None) -> None:
    """Verifies a proof by the key that its reader trusts; no configuration, database or network is used."""
    from ca.journal import proof

    with file.open("rb") as opened:
        proven = proof.verify(proof.read(opened.read(proof.LARGEST + 1)), _fingerprint(key))
    if certificate is not None:
        proof.demand_issuance(proven, certificate_der(certificate.read_bytes()))
    shape = {"holds": True, **_shape(proven)}
    answer(session, shape, lambda: _text(proven, certificate))


def _fingerprint(key: str) -> bytes:
    """The SHA-256 of the journal's key: as hex, or of a public key in PEM or DER."""
    from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

    from ca.journal.proof import fingerprint
    from ca.keys.algorithms import spki_of

    digits = key.lower().replace(":", "")
    if re.fullmatch(r"[0-9a-f]{64}", digits):
        return bytes.fromhex(digits)
    if not Path(key).is_file():
        raise BadRequest(
            "--key is neither a SHA-256 in hex nor a file.",
            next_step="Take the 'spki_sha256' of journal-g1 from the ceremony's transcript, or a public key in PEM.",
        )
    data = Path(key).read_bytes()
    try:
        loaded = load_pem_public_key(data) if b"-----BEGIN" in data else load_der_public_key(data)
        return fingerprint(spki_of(loaded))  # type: ignore[arg-type]
    except ValueError:
        raise BadRequest(f"There is no public key in {key}.", next_step="Name a PEM or DER file.") from None


def _shape(proven: "Proven") -> dict[str, Any]:
    return {
        "at": rfc3339(proven.entry["time"]),
        "index": proven.index,
        "journal": proven.origin,
        "size": proven.size,
        "lost": proven.lost,
        "entry": dict(proven.entry),
    }


def _text(proven: "Proven", certificate: Path | None) -> str:
    said: Mapping[str, Any] = proven.entry
    actor = f"{said['actor']['kind']}:{said['actor']['id']}"
    lines = [
        f"holds: {said['action']} of {said['object']} at {rfc3339(said['time'])} by {actor}, {said['result']}",
        f"entry {proven.index} of {proven.origin}, under a signed head over {proven.size} entries",
    ]
    if certificate is not None:
        lines.append(f"it is the issuance of the certificate in {certificate}")
    if proven.lost:
        lines.append(
            f"{proven.lost} places up to that head are empty: a restore lost entries, or the place is told wrongly"
        )
    return "\n".join(map(printable, lines))
