"""`certwright crl`: what is published, publishing what is due, and the repair of either."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ca.errors import NotFound
from cli.output import answer, table
from cli.session import Session, command, operator

if TYPE_CHECKING:
    from ca.authority import Authority
    from ca.records import Issuer
    from ca.store import ShardState


@command(changes=True)
def publish(session: Session) -> int:
    """Signs and publishes the CRLs that are dirty, ageing or due by schedule, as the scheduler does."""
    from ca import crl
    from ca.authority.crls import due_lists

    with session.authority() as authority:
        if session.dry_run:
            due = [f"{state.issuer}/{crl.label(state.shard)}" for state in due_lists(authority)]
            answer(session, {"dry_run": True, "due": due}, f"due: {', '.join(due)}" if due else "Nothing is due.")
            return 0
        report = authority.publish_crls()
    text = f"published {report.done}, refused {report.failed}"
    answer(session, {"published": report.done, "refused": report.failed}, text)
    return 1 if report.failed else 0


@command()
@click.argument("issuer", default="")
def show(session: Session, issuer: str) -> None:
    """Shows the published CRLs, of one issuer or of all, as relying parties get them.

    A shard is open to new certificates, closed (signed until its last certificate has expired, and once more) or
    ended. `full` covers all shards.
    """
    with session.authority() as authority:
        wanted = [one for one in authority.store.issuers() if issuer in ("", one.id, one.name)]
        if issuer and not wanted:
            raise NotFound(f"There is no issuer {issuer!r}.", next_step="See 'certwright ca list'.")
        rows = [row for one in wanted for row in _published(authority, one)]
    head = ("path", "shard", "number", "this_update", "next_update", "entries", "octets")
    cells = [[row[name] for name in head] for row in rows]
    answer(session, rows, lambda: table(head, cells, "No CRL is published. Run 'certwright crl publish'."))


def _published(authority: "Authority", issuer: "Issuer") -> "Iterator[dict[str, Any]]":
    for path, shard in _lists(authority, issuer):
        try:
            yield {"path": path, "shard": shard, **_row(authority.publisher.get(path).body)}
        except NotFound:
            continue


def _lists(authority: "Authority", issuer: "Issuer") -> Iterator[tuple[str, str]]:
    from ca import crl

    yield crl.full_path(issuer.id), "all"
    if issuer.kind == "root":
        yield crl.shard_path(issuer.id, 0), "all"
    for state in authority.store.shards(issuer.id):
        yield crl.shard_path(issuer.id, state.shard), _state(state)
        yield crl.delta_path(issuer.id, state.shard), "delta"


def _state(shard: "ShardState") -> str:
    return "ended" if shard.ended_at else "open" if shard.open else "closed"


def _row(der: bytes) -> dict[str, Any]:
    from cryptography import x509

    from ca.clock import rfc3339

    one = x509.load_der_x509_crl(der)
    number = one.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    following = one.next_update_utc
    return {
        "number": number,
        "this_update": rfc3339(int(one.last_update_utc.timestamp())),
        "next_update": rfc3339(int(following.timestamp())) if following else None,
        "entries": len(one),
        "octets": len(der),
    }


@command(changes=True, eyes=True)
@click.argument("issuer")
@click.argument("count", type=click.IntRange(1, 4096))
def reshard(session: Session, issuer: str, count: int) -> None:
    """Opens COUNT new CRL shards to the certificates of ISSUER, and closes the present ones.

    A CRL holds one shard: with more of them, each is smaller and a revocation costs less. Certificates keep the
    shard that they name; a closed shard is signed again until the last of them has expired, and once more.
    """
    with session.authority() as authority:
        before = authority.store.open_shards(authority.store.issuer(issuer).id)
        if session.dry_run:
            answer(session, {"dry_run": True, "open": len(before)}, f"Would open {count}, and close {len(before)}.")
            return
        session.confirm(f"Open {count} new CRL shards of {issuer}, and close {len(before)}?")
        session.demand_second(authority)
        made = authority.reshard(issuer, count, operator())
    names = [f"{shard:04x}" for shard in made]
    answer(session, {"opened": names, "closed": len(before)}, f"opened {', '.join(names)}; closed {len(before)}")


@command(changes=True)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
def adopt(session: Session, files: tuple[Path, ...]) -> None:
    """Takes over into the records what published CRLs tell and the records have forgotten.

    After a restore from an old backup nothing is published that says less than what is out (INC-01). This reads the
    CRLs in the publication folder, or FILES (DER or PEM, such as relying parties keep), and enters what is missing.
    """
    from ca.authority.adopt import published_crls
    from ca.records import serial_hex

    with session.authority() as authority:
        bodies = [file.read_bytes() for file in files] or list(published_crls(authority))
        found = authority.adopt_crls(bodies, operator(), dry_run=True)
        if found.adopted and not session.dry_run:
            session.confirm(f"Enter {len(found.adopted)} revocations that published CRLs tell of?")
            found = authority.adopt_crls(bodies, operator())
    serials = [serial_hex(one.serial) for one in found.adopted]
    shape = {"dry_run": session.dry_run, "lists": found.lists, "entries": found.entries, "adopted": serials}
    verb = "would adopt" if session.dry_run else "adopted"
    answer(session, shape, f"read {found.lists} CRLs with {found.entries} entries; {verb} {len(serials)}")
