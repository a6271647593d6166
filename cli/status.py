"""`certwright status`: what relying parties get, looked at from outside."""

from cli.output import answer, table
from cli.session import Session, command


@command()
def probe(session: Session) -> int:
    """Fetches every CRL and an OCSP answer over HTTP, as relying parties do, and verifies signatures and times.

    Exit code 1 when one cannot be had, does not verify, or is past half of its life without a successor.
    """
    from ca.clock import rfc3339

    with session.authority() as authority:
        found = authority.probe()
    rows = [
        {
            "status": "fail" if one.trouble else "ok",
            "url": one.url,
            "what": one.what,
            "used": round(one.used, 3),
            "next_update": rfc3339(one.next_update) if one.next_update else None,
            "trouble": one.trouble or None,
        }
        for one in found
    ]
    head = ("status", "what", "url", "used", "next_update", "trouble")
    cells = [[f"{row[name]:.0%}" if name == "used" else row[name] or "" for name in head] for row in rows]
    answer(session, rows, lambda: table(head, cells, "There is no issuer yet. Run 'certwright ca init'."))
    return 1 if any(one.trouble for one in found) else 0
