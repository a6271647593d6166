"""Lists as files: CSV that no spreadsheet takes for a formula, JSON, PEM. Bounded, and said so."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ca.authority.chain import pem
from ca.clock import rfc3339
from ca.records import Certificate, serial_hex

Tags = Mapping[int, tuple[str, ...]]
"""Of each certificate by its serial."""

HEAD = (
    *("serial", "status", "common_name", "names", "profile", "owner", "issuer"),
    *("not_before", "not_after", "issued_at", "revoked_at", "reason", "sha256", "tags"),
)

_STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def row(one: Certificate, tags: Tags, now: int) -> dict[str, str]:
    """A certificate as text under each heading."""
    return {
        "serial": serial_hex(one.serial),
        "status": one.status(now),
        "common_name": one.common_name,
        "names": " ".join(name.value for name in one.names),
        "profile": one.profile,
        "owner": one.owner,
        "issuer": one.issuer,
        "not_before": rfc3339(one.not_before),
        "not_after": rfc3339(one.not_after),
        "issued_at": rfc3339(one.issued_at),
        "revoked_at": rfc3339(one.revoked_at) if one.revoked_at else "",
        "reason": one.reason,
        "sha256": one.sha256,
        "tags": ", ".join(tags.get(one.serial, ())),
    }


def as_csv(certificates: Iterable[Certificate], tags: Tags, now: int) -> bytes:
    """RFC 4180, with a heading."""
    return table(HEAD, ([*row(one, tags, now).values()] for one in certificates))


def as_json(certificates: Iterable[Certificate], tags: Tags, now: int) -> bytes:
    """One array of objects."""
    return json.dumps([row(one, tags, now) for one in certificates], indent=1).encode()


def as_pem(certificates: Iterable[Certificate], _tags: Tags, _now: int) -> bytes:
    """The certificates, one after the other."""
    return b"".join(pem(one.der) for one in certificates)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Rows under a head as CSV; each cell is text, also for a spreadsheet."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(head)
    writer.writerows([cell(str(value)) for value in one] for one in rows)
    return out.getvalue().encode()


def cell(text: str) -> str:
    """The text, with an apostrophe in front where a spreadsheet would compute it."""
    return f"'{text}" if text.startswith(_STARTS_A_FORMULA) else text


def lines(events: Iterable[dict[str, object]]) -> Iterator[bytes]:
    """One JSON object a line."""
    for event in events:
        yield json.dumps(event, ensure_ascii=False).encode() + b"\n"


KINDS = {
    "csv": (as_csv, "text/csv; charset=utf-8"),
    "json": (as_json, "application/json"),
    "pem": (as_pem, "application/x-pem-file"),
}
