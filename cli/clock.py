"""`certwright doctor clock`: what the wall clock is held against, and an operator's word that it is right."""

from typing import TYPE_CHECKING

import click

from ca.clock import rfc3339, system_clock
from ca.errors import HSMError
from cli.output import answer, facts
from cli.session import Session, command, operator

if TYPE_CHECKING:
    from ca.authority import Authority

MEANING = (
    "Accepting believes this time from now on: certificates, CRLs and answers are dated by it, and what it says has "
    "ended is expired and purged. Serials, CRL numbers and published times go on rising whatever it shows."
)


@command(changes=True)
@click.option("--accept", is_flag=True, help="Believe the wall clock as it is now.")
def clock(session: Session, accept: bool) -> int:
    """Says whether this machine's wall clock is believed, and by how much it is off.

    It is held against the clock that counts from the machine's start, the last time that was written down, and the
    database's clock. More than five minutes off, nothing is signed, expired or purged; what is published is served
    on, and revocations are recorded. Set it right and all goes on by itself. When it is right as it is, --accept.
    Exit code 1 while it is not believed.
    """
    with session.authority() as authority:
        skew = authority.wall.skew()
        if accept and not session.dry_run:
            now = rfc3339(system_clock())
            session.confirm(f"Is it {now}? The wall clock is {skew.seconds} s off {skew.against}. {MEANING} Accept?")
            skew = authority.accept_clock(operator())
        signer = _of_signer(authority)
    sound = (skew.sound and not signer) or (accept and not session.dry_run)
    shape = {"sound": sound, "accepted": accept and not session.dry_run, "now": rfc3339(system_clock())}
    shape |= {"skew": skew.seconds, "against": skew.against, "signer": signer}
    answer(session, shape, lambda: facts(shape.items()) + ("" if sound else f"\n{MEANING}"))
    return 0 if sound else 1


def _of_signer(authority: "Authority") -> str:
    """Why the signer does not believe its clock; empty while it does, or cannot be asked."""
    try:
        return authority.signer.health().clock
    except HSMError:
        return ""
