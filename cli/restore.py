"""`certwright restore`: read a backup back, into nowhere or into an empty database, and what has to follow."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ca.errors import BadRequest
from cli.backup import bar, new_file, shown
from cli.output import answer, facts
from cli.privileges import prepare_places
from cli.session import Session, command, operator

if TYPE_CHECKING:
    from ca.authority import Authority
    from ca.authority.recovery import Recovered
    from ca.backup.restore import Sealed
    from ca.keys.ledger import Entry

FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
FOLDER = click.Path(path_type=Path, file_okay=False)


@command(changes=True)
@click.argument("file", type=FILE, required=False)
@click.option("--identity", type=FILE, help="The secret of 'certwright backup key' that opens it.")
@click.option("--verify", "only", flag_value="verify", help="Read all of FILE back and verify it; nothing stays.")
@click.option("--recover", "only", flag_value="recover", help="Take from the signer's ledger what the records lack.")
@click.option("--confirm", "only", flag_value="confirm", help="Believe tokens again, and issue again.")
@click.option("--ledger", type=FOLDER, help="The signer's ledger, or a copy (default: ledger/ in signer.state_dir).")
@click.option("--files", type=FOLDER, help="Write the configuration and pins that FILE holds into this new folder.")
def restore(
    session: Session,
    file: Path | None,
    identity: Path | None,
    only: str | None,
    ledger: Path | None,
    files: Path | None,
) -> None:
    """Restores FILE into an empty database, never over a live one, and recovers what it lacks.

    It is verified first. What was signed since the backup comes back from the signer's ledger, revocations from the
    newest CRLs; numbers go on above what was used. The service then only revokes, and tokens are not believed, until
    an operator has looked and says --confirm. Stop the service before, start it afterwards.
    """
    folder = ledger or session.config.path(session.config.signer.state_dir) / "ledger"
    if only in ("recover", "confirm"):
        if file:
            raise BadRequest(f"--{only} takes no FILE.", next_step=f"Run 'certwright restore --{only}'.")
        return _recover(session, folder) if only == "recover" else _confirm(session)
    if file is None or identity is None:
        raise BadRequest("Name the backup, and by --identity what opens it.", next_step="See 'certwright restore -h'.")
    from ca.backup.restore import Sealed

    sealed = Sealed(file, identity.read_text())
    if files:
        _write_files(sealed, files)
    if only == "verify":
        return _verify(session, sealed)
    return _restore(session, sealed, folder)


def _verify(session: Session, sealed: "Sealed") -> None:
    from ca.backup import restore as backups

    with bar(session, 0) as tick:
        contents = backups.verify(sealed, lambda store: backups.demand_ours(session.config, store), tick)
    shape = {"whole": True, **shown(contents.manifest)}
    answer(session, shape, lambda: facts((k, v) for k, v in shape.items() if not isinstance(v, dict)))


def _write_files(sealed: "Sealed", folder: Path) -> None:
    from ca.backup import restore as backups

    folder.mkdir(mode=0o700, parents=True)
    for name, content in backups.verify(sealed).files.items():
        with new_file(folder / name) as file:
            file.write(content)


def _restore(session: Session, sealed: "Sealed", folder: Path) -> None:
    from ca import store as records
    from ca.backup import restore as backups

    def ours(store: Any) -> None:
        backups.demand_ours(session.config, store)

    contents = backups.verify(sealed, ours)
    url = session.config.database_url(session.config.database.migrate_url)
    shape = shown(contents.manifest)
    if session.dry_run:
        answer(session, {"dry_run": True, **shape}, f"Would restore the backup of {shape['made_at']}.")
        return
    session.confirm(f"Restore the backup of {shape['made_at']} ({shape['certificates']} certificates)?")
    prepare_places(session.config)
    records.bring_up_to_date(session.config)
    owner = records.Store.open(url)
    try:
        with bar(session, sum(contents.manifest.rows.values())) as tick:
            backups.load(owner, sealed, lambda store: backups.mark(store, contents.manifest), tick)
    finally:
        owner.close()
    _recover(session, folder, shape)


def _recover(session: Session, folder: Path, restored: dict[str, Any] | None = None) -> None:
    with session.authority() as authority:
        found = authority.recover(_entries(folder), operator())
    _tell(session, found, restored or {})


def _entries(folder: Path) -> "Callable[[], Iterable[Entry]]":
    from ca.keys import ledger

    return lambda: ledger.read(folder)


def _tell(session: Session, found: "Recovered", restored: dict[str, Any]) -> None:
    shape = {
        "recovered_certificates": found.certificates,
        "recovered_revocations": found.revocations,
        "lost_journal_entries": found.journal,
        "missing_crls": found.missing,
        **restored,
    }
    text = "Start the service: it revokes and publishes. Look, revoke tokens that ended since, then --confirm."
    if found.missing:
        text = "These CRLs could not be read: put them into the publication folder and run --recover again.\n" + text
    flat = [(name, value) for name, value in shape.items() if not isinstance(value, dict) and value != []]
    answer(session, shape, lambda: f"{facts(flat)}\n{text}")


def _confirm(session: Session) -> None:
    with session.authority() as authority:
        tokens = _alive(authority)
        question = f"Believe what was restored, {tokens} tokens among it, and issue again?"
        if session.dry_run:
            answer(session, {"dry_run": True, "tokens": tokens}, question)
            return
        session.confirm(question)
        authority.confirm_restore(operator())
    answer(session, {"confirmed": True, "tokens": tokens}, "confirmed: certificates are issued again")


def _alive(authority: "Authority") -> int:
    now = authority.clock()
    return sum(not one.revoked_at and one.expires_at > now for one in authority.store.tokens())
