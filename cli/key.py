"""`certwright key`: the keys of the records, and the signer's door when a PIN was refused."""

import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import shapes
from cli.files import write_whole
from cli.output import answer, facts, table
from cli.privileges import become_owner
from cli.session import Session, command

if TYPE_CHECKING:
    from ca.keys.client import SignerClient


@command()
def list_(session: Session) -> None:
    """Lists the keys, with their purpose and what kind of token protects them."""
    with session.authority() as authority:
        rows = list(map(shapes.key, authority.store.keys()))
    head = ("id", "purpose", "algorithm", "state", "token", "created_at")
    answer(
        session, rows, lambda: table(head, [[row[name] for name in head] for row in rows], "No keys: run 'ca init'.")
    )


@command()
@click.argument("key")
def show(session: Session, key: str) -> None:
    """Shows one key with the attributes that were read back from its token."""
    with session.authority() as authority:
        shape = shapes.key(authority.store.key(key))
    flat = [(name, value) for name, value in shape.items() if name != "attributes"]
    answer(session, shape, lambda: facts([*flat, *shape["attributes"].items()]))


@command(changes=True, eyes=True)
@click.argument("key")
def rotate(session: Session, key: str) -> None:
    """Gives KEY, that of the journal or of an OCSP responder, its successor at once; an issuing CA's: 'ca rotate'.

    The old key of the journal signs the head over the entry that names the new one, so that whoever trusts the first
    key can follow; then it signs nothing more. A responder's key signs until the end of its certificate, and at most
    one a day is made. After an error, or a crash, the same command goes on.
    """
    from cli import keys

    with session.authority() as authority:
        way = keys.way(authority, key)
        if session.dry_run:
            answer(session, {"dry_run": True, "key": key}, f"Would give {key} its successor.")
            return
        session.confirm(f"Give {key} its successor?")
        session.demand_second(authority)
        made = way(session, authority)
    answer(session, made, lambda: facts(made.items()))


@command(changes=True)
def unlock(session: Session) -> None:
    """Lets the signer try the PIN once more, after the token refused it and the PIN was corrected.

    The token counts wrong tries and locks after a few; the signer therefore never tries twice by itself.
    """
    signer = _signer(session)
    state = signer.health()
    if session.dry_run or not state.pin_refused:
        words = state.detail or "It is open." if state.pin_refused else "No PIN was refused: nothing to unlock."
        answer(session, {"dry_run": session.dry_run, "pin_refused": state.pin_refused}, words)
        return
    session.confirm("Is the PIN corrected? Each wrong try brings the token closer to locking.")
    signer.unlock()
    state = signer.health()
    answer(session, {"ok": state.ok, "detail": state.detail}, state.detail or "The token is open.")


@command(changes=True)
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
def provision(session: Session, directory: Path) -> None:
    """Makes a software token (SoftHSM) in DIRECTORY, for those who have no HSM, and a random PIN if there is none.

    Label and PIN are those of the configuration (hsm.token_label, hsm.pin_source). A token of that label that
    is there already stays as it is. Prints what the configuration must say to use it.
    """
    place = directory.resolve()
    config = session.config
    if not session.dry_run:
        become_owner(config, "signer", place)
    module = config.hsm.module or os.environ.get("CERTWRIGHT_PKCS11_MODULE", "")
    lines = [
        f"module = {json.dumps(module)}",
        f"environment = {{ SOFTHSM2_CONF = {json.dumps(str(place / 'softhsm2.conf'))} }}",
        "accept_software_token = true  # whoever reads that folder and knows the PIN has the keys",
    ]
    if not session.dry_run:
        _provision(session, place, module)
    shape = {"dry_run": session.dry_run, "directory": str(place), "label": config.hsm.token_label, "hsm": lines}
    answer(session, shape, "\n".join(["SOFTWARE TOKEN. Under [hsm] the configuration must say:", *lines]))


def _provision(session: Session, place: Path, module: str) -> None:
    from ca.keys.pin import read_pin
    from ca.keys.softhsm import provision_softhsm

    hsm, folder = session.config.hsm, session.config.path(".")
    kind, _, value = hsm.pin_source.partition(":")
    if kind == "file" and not (folder / value).exists():
        (folder / value).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(folder / value, secrets.token_hex(16) + "\n")
    provision_softhsm(place, hsm.token_label, read_pin(hsm.pin_source, folder), module)


def _signer(session: Session) -> "SignerClient":
    from ca.keys.client import SignerClient

    return SignerClient(session.config.path(session.config.signer.socket), timeout=float(session.config.signer.timeout))
