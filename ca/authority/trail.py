"""The audit trail as the desk keeps it: sequencing, verification, export (JOURNAL.md)."""

from collections.abc import Iterator, Mapping

import structlog
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ca import journal
from ca.authority import policies, standing
from ca.authority.desk import Desk
from ca.authority.report import Report
from ca.errors import NotFound
from ca.journal import proof
from ca.journal.proof import Proof
from ca.records import SYSTEM, Event, Key, KeyPurpose, SignKind, serial_hex


def _journal_keys(desk: Desk) -> list[Key]:
    return [key for key in iter(desk.store.keys()) if key.purpose == KeyPurpose.JOURNAL]


def journal_key(desk: Desk) -> Key:
    """The key that signs the journal's head: the newest active one of that purpose. Raises `NotFound`."""
    active = [key for key in _journal_keys(desk) if key.state == "active"]
    if not active:
        raise NotFound("There is no key for the journal yet.", next_step="Run 'certwright ca init'.")
    return max(active, key=lambda key: (key.created_at, key.id))


def sequence_journal(desk: Desk, fence: int = 0) -> Report:
    """Chains what was journalled since the last run and has the new head signed by the journal's key.

    A chain that was set back is not built on: never two trees. Raises `RevokeOnly`, the HSM family.
    """
    standing.demand_abreast(desk)
    key = journal_key(desk).id
    done = journal.sequence(
        desk.store, lambda text: desk.signer.sign(key, SignKind.CHECKPOINT, text), desk.clock, fence, key
    )
    return Report("sequence_journal", done)


def verify_journal(desk: Desk) -> journal.Report:
    """Recomputes the whole journal. Raises `JournalBroken` naming the first broken place."""
    return journal.verify(desk.store, {key.id: load_der_public_key(key.spki) for key in _journal_keys(desk)})


def prove_event(desk: Desk, event: int) -> Proof:
    """A proof of one entry that verifies offline: see `ca.journal.proof`. Raises `NotFound`, `JournalBroken`."""
    return proof.prove(desk.store, event, {key.id: key.spki for key in _journal_keys(desk)})


def prove_issuance(desk: Desk, serial: int) -> Proof:
    """A proof that the certificate of that serial was issued and journalled. Raises what `prove_event` raises."""
    one = desk.store.by_serial(serial)
    target = f"certificate:{one.issuer}:{serial_hex(one.serial)}"
    for row in desk.store.history(target):
        if row.action in proof.ISSUED:
            return prove_event(desk, row.id)
    raise NotFound(
        f"The journal has no entry of the issuance of {serial_hex(serial)}.",
        next_step="That is an incident: run 'certwright audit reconcile'.",
    )


def export_journal(desk: Desk) -> Iterator[Mapping[str, object]]:
    """Every event in order, one mapping each."""
    return journal.export(desk.store)


def record_start(desk: Desk, process: str) -> None:
    """Journals that a process started and with which effective configuration; warns of a database that may lose
    what it has confirmed, or whose role may rewrite the journal."""
    for weakness in desk.store.weaknesses():
        structlog.get_logger().warning("database.weak", why=weakness, next_step="See docs/postgresql.md, 'Durability'.")
    policies.settle(desk)
    waits = [one.key for one in policies.waiting(desk)]
    for key in waits:
        structlog.get_logger().warning("policy.waits", key=key, next_step="Run 'certwright config approve'.")
    with desk.store.transaction():
        desk.journal.append(
            Event(
                "config.loaded",
                SYSTEM,
                f"process:{process}",
                detail={
                    "digest": desk.config.digest(),
                    "mode": desk.config.mode,
                    "waiting": waits,
                },
            )
        )
