"""`certwright key`: the keys of the records, and the signer's door when a PIN was refused."""

from typing import TYPE_CHECKING

import click

from cli import shapes
from cli.output import answer, facts, table
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


def _signer(session: Session) -> "SignerClient":
    from ca.keys.client import SignerClient

    return SignerClient(session.config.path(session.config.signer.socket), timeout=float(session.config.signer.timeout))
