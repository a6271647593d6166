"""`certwright crl`: what is published, and publishing what is due."""

from typing import TYPE_CHECKING, Any

import click

from ca.errors import NotFound
from cli.output import answer, table
from cli.session import Session, command

if TYPE_CHECKING:
    from ca.authority import Authority
    from ca.records import Issuer


@command(changes=True)
def publish(session: Session) -> int:
    """Signs and publishes the CRLs that are dirty or past half of their life, as the scheduler does."""
    with session.authority() as authority:
        if session.dry_run:
            due = [f"{state.issuer}/{state.shard:04x}" for state in authority.store.stale_shards(authority.clock())]
            answer(session, {"dry_run": True, "due": due}, f"due: {', '.join(due)}" if due else "Nothing is due.")
            return 0
        report = authority.publish_crls()
    text = f"published {report.done}, refused {report.failed}"
    answer(session, {"published": report.done, "refused": report.failed}, text)
    return 1 if report.failed else 0


@command()
@click.argument("issuer", default="")
def show(session: Session, issuer: str) -> None:
    """Shows the published CRLs, of one issuer or of all, as relying parties get them."""
    with session.authority() as authority:
        wanted = [one for one in authority.store.issuers() if issuer in ("", one.id, one.name)]
        if issuer and not wanted:
            raise NotFound(f"There is no issuer {issuer!r}.", next_step="See 'certwright ca list'.")
        rows = [row for one in wanted for row in _published(authority, one)]
    head = ("path", "number", "this_update", "next_update", "entries", "octets")
    cells = [[row[name] for name in head] for row in rows]
    answer(session, rows, lambda: table(head, cells, "No CRL is published. Run 'certwright crl publish'."))


def _published(authority: "Authority", issuer: "Issuer") -> list[dict[str, Any]]:
    from ca import crl

    paths = [crl.full_path(issuer.id), *(crl.shard_path(issuer.id, shard) for shard in range(issuer.shards))]
    rows = []
    for path in paths:
        try:
            rows.append(_row(path, authority.publisher.get(path).body))
        except NotFound:
            continue
    return rows


def _row(path: str, der: bytes) -> dict[str, Any]:
    from cryptography import x509

    from ca.clock import rfc3339

    one = x509.load_der_x509_crl(der)
    number = one.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    following = one.next_update_utc
    return {
        "path": path,
        "number": number,
        "this_update": rfc3339(int(one.last_update_utc.timestamp())),
        "next_update": rfc3339(int(following.timestamp())) if following else None,
        "entries": len(one),
        "octets": len(der),
    }
