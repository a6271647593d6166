"""`certwright audit`: read and verify the journal and the signer's ledger, and hold one against the other."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ca.clock import rfc3339
from cli.output import answer, table
from cli.proof import verify_proof
from cli.session import Session, command

if TYPE_CHECKING:
    from ca.authority.reconcile import Finding, Reconciliation
    from ca.keys.ledger import Entry


FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@command()
@click.option("-n", "--lines", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many.")
def tail(session: Session, lines: int) -> None:
    """Shows the newest events, the newest last."""
    from ca import journal

    with session.authority() as authority:
        events = [_dated(event) for event in journal.tail(authority.store, lines)]
    head = ("at", "action", "actor", "object", "result", "reason")
    answer(session, events, lambda: table(head, [_row(event) for event in events], "There are no events yet."))


def _dated(event: Mapping[str, Any]) -> dict[str, Any]:
    """The entry as it is stored, with its time in RFC 3339 beside it."""
    return {"at": rfc3339(event["time"]), **event}


def _row(event: Mapping[str, Any]) -> tuple[str, ...]:
    actor = f"{event['actor']['kind']}:{event['actor']['id']}"
    return (event["at"], event["action"], actor, event["object"], event["result"], event["reason"])


@command()
def export(session: Session) -> None:
    """Writes every event in order, one JSON object a line."""
    with session.authority() as authority:
        for event in authority.export_journal():
            click.echo(json.dumps(_dated(event), ensure_ascii=False))


@command()
@click.option("--proof", type=FILE, help="Verify this file of 'audit prove' alone, offline.")
@click.option("--key", help="With --proof: the journal's key that you trust, its SHA-256 or a file with it.")
@click.option("--certificate", type=FILE, help="With --proof: it has to tell of the issuance of this certificate.")
def verify(session: Session, proof: Path | None, key: str | None, certificate: Path | None) -> None:
    """Recomputes the journal and checks its signed heads; exit code 0 when it is whole, 1 with the place when not.

    With --proof it needs neither a configuration nor this CA, but the key as you know it from elsewhere:
    'spki_sha256' of the journal's key in the ceremony's transcript, which was witnessed.
    """
    if proof is None:
        if key or certificate:
            raise click.UsageError("--key and --certificate belong to --proof.")
        _verify_journal(session)
    elif key is None:
        raise click.UsageError("--proof needs --key: a proof that names its own judge proves nothing.")
    else:
        verify_proof(session, proof, key, certificate)


def _verify_journal(session: Session) -> None:
    with session.authority() as authority:
        report = authority.verify_journal()
    _whole(session, report)


TIMES = ("signed_at", "waiting_since", "last_time")
"""Members of the reports that are epoch seconds inside, and RFC 3339 here."""


def _whole(session: Session, report: Any) -> None:
    """A report of what was found whole, with its times as people write them; a time that never was is empty."""
    shape = {name: getattr(report, name) for name in report.__dataclass_fields__}
    shape |= {name: rfc3339(shape[name]) if shape[name] else "" for name in TIMES if name in shape}
    shown = ", ".join(f"{name} {value}" for name, value in shape.items() if value != "")
    answer(session, {"whole": True, **shape}, lambda: f"whole: {shown}")


# --- the signer's ledger ------------------------------------------------------------------------

FOLDER = click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The ledger's folder, or a copy of it (default: ledger/ in signer.state_dir).",
)


@command()
@FOLDER
def export_ledger(session: Session, folder: Path | None) -> None:
    """Writes every entry of the signer's ledger in order, one JSON object a line, verifying it on the way.

    It reads files alone: run it as a user who may read signer.state_dir.
    """
    from ca.keys import ledger

    for entry in ledger.read(folder or _ledger(session)):
        click.echo(ledger.line(entry))


@command()
@FOLDER
def verify_ledger(session: Session, folder: Path | None) -> None:
    """Recomputes the chain of the signer's ledger; exit code 0 when it is whole, 1 with the place when not."""
    from ca.keys import ledger

    report = ledger.verify(folder or _ledger(session))
    _whole(session, report)


@command()
@FOLDER
@click.option(
    "--export",
    "exported",
    type=FILE,
    help="Read this file, as 'audit ledger export' writes it, instead of the folder.",
)
def reconcile(session: Session, folder: Path | None, exported: Path | None) -> int:
    """Compares the signer's ledger with intents, certificates, CRLs and the journal.

    Exit code 0 when the only differences are orphans that are listed and revoked; 1 when a signature is not
    explained by the records, or a record not by a signature.
    """
    with session.authority() as authority:
        found = authority.reconcile(_entries(session, folder, exported))
    answer(session, _shape(found), lambda: _text(found))
    return 0 if found.agrees else 1


def _entries(session: Session, folder: Path | None, exported: Path | None) -> "Callable[[], Iterable[Entry]]":
    from ca.keys import ledger

    def of_export() -> "Iterable[Entry]":
        assert exported is not None
        with exported.open(errors="replace") as lines:  # what is no text is no entry either, and is told as that
            yield from ledger.exported(lines)

    return of_export if exported else lambda: ledger.read(folder or _ledger(session))


def _ledger(session: Session) -> Path:
    return session.config.path(session.config.signer.state_dir) / "ledger"


def _shape(found: "Reconciliation") -> dict[str, Any]:
    lists = {
        name: [_finding(one) for one in getattr(found, name)] for name in ("orphans", "unpublished", "differences")
    }
    numbers = {"signed": dict(found.signed), "matched": found.matched, "under_way": found.under_way}
    return {"agrees": found.agrees, **numbers, **lists}


def _finding(one: "Finding") -> dict[str, Any]:
    return {name: getattr(one, name) for name in ("kind", "key", "mark", "counter", "why")}


def _text(found: "Reconciliation") -> str:
    signed = ", ".join(f"{kind} {count}" for kind, count in sorted(found.signed.items()))
    rows = [
        (what, one.kind, one.key, one.mark, one.counter or "-", one.why)
        for what in ("differences", "orphans", "unpublished")
        for one in getattr(found, what)
    ]
    head = f"{'agrees' if found.agrees else 'DIFFERS'}: {signed}; matched {found.matched}, under way {found.under_way}"
    return head + "\n" + table(("list", "kind", "key", "mark", "entry", "why"), rows, "Nothing is left over.")
