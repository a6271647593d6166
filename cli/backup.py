"""`certwright backup`: the records of this moment, sealed for a key that is kept elsewhere."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ca.clock import rfc3339
from cli.output import answer, facts
from cli.session import Session, command, operator

if TYPE_CHECKING:
    from ca.backup.archive import Manifest
    from ca.backup.take import Tick


@command(changes=True)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Where it goes (default: named by time).")
@click.option("--recipient", "recipients", multiple=True, help="Seal it for this key too (age1…); repeatable.")
def backup(session: Session, out: Path | None, recipients: tuple[str, ...]) -> None:
    """Writes an encrypted, consistent backup of the records, the configuration and the signer's public pins.

    It is sealed for backup.recipients, in the age format. PIN, token and the signer's ledger are never in it: keep
    copies of the ledger besides ('audit ledger export'). The service goes on meanwhile.
    """
    from ca.backup import seal
    from ca.backup.take import Source, take

    wanted = (*session.config.backup.recipients, *recipients)
    seal.recipients_of(wanted)
    with session.authority() as authority:
        now = authority.clock()
        out = out or Path(f"certwright-{rfc3339(now).replace(':', '')}.age")
        if session.dry_run:
            answer(session, {"dry_run": True, "file": str(out)}, f"Would write {out} for {', '.join(wanted)}.")
            return
        source = Source(session.config, session.config_path, authority.store, now)
        draft = out.with_name(f".{out.name}.new")
        try:
            with new_file(draft) as file, progress(session, authority.store) as tick:
                manifest = take(source, wanted, file, tick)
            os.link(draft, out)  # nothing is overwritten
        finally:
            draft.unlink(missing_ok=True)
        authority.note_backup(str(out.resolve()), manifest.made_at, operator())
    shape = {"file": str(out), "octets": out.stat().st_size, **shown(manifest)}
    answer(session, shape, lambda: facts((name, value) for name, value in shape.items() if not isinstance(value, dict)))


@command()
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Where the secret goes.")
def key(session: Session, out: Path) -> None:
    """Makes the key that opens backups, and says which recipient to put into backup.recipients.

    Keep the file away from this machine: who has it and a backup reads every record. Losing it loses the backups.
    """
    from ca.backup import seal

    secret, recipient = seal.new_identity()
    with new_file(out) as file:
        file.write(f"# certwright backup key; recipient: {recipient}\n{secret}\n".encode())
    answer(session, {"file": str(out), "recipient": recipient}, f'recipients = ["{recipient}"]\nsecret: {out}')


@contextmanager
def new_file(path: Path) -> Iterator[Any]:
    """A new file, 0600, on the disk when the block ends. Raises FileExistsError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def progress(session: Session, store: Any) -> "Iterator[Tick]":
    """A bar of rows on a terminal; elsewhere nothing is shown."""
    from ca.store import dump

    with bar(session, dump.count(store)) as tick:
        yield tick


@contextmanager
def bar(session: Session, rows: int) -> "Iterator[Tick]":
    """The same, for a known number of rows."""
    hidden = session.json or session.quiet
    with click.progressbar(length=rows, label="rows", hidden=hidden, file=sys.stderr) as meter:
        yield meter.update


def shown(manifest: "Manifest") -> dict[str, Any]:
    """What the manifest says, as people and programs read it."""
    ledger = manifest.ledger
    return {
        "made_at": rfc3339(manifest.made_at),
        "certificates": manifest.certificates,
        "journal": manifest.journal,
        "head": manifest.head,
        "ledger": ledger.entries if ledger else None,
        "crls": manifest.crls,
        "rows": manifest.rows,
    }
