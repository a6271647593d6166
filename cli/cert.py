"""`certwright cert`: issue, find and show certificates at this machine's own desk."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ca.clock import rfc3339
from ca.errors import BadRequest, Conflict
from ca.records import serial_hex
from cli import shapes
from cli.output import answer, facts, stream, table
from cli.session import Session, command, operator
from cli.types import DURATION, find_certificate

if TYPE_CHECKING:
    from ca.authority import Authority
    from ca.records import Certificate, IssueRequest, Name, Query

PAGE = 1000
SHOWN = 100
"""How many a list shows to people; programs (--json) get all."""

# --- issue --------------------------------------------------------------------------------------


@command(changes=True)
@click.argument("csr", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--new-key", type=click.Path(path_type=Path), metavar="OUT", help="Make a P-256 key and write it to OUT.")
@click.option("--name", "names", multiple=True, help="A DNS name, IP address or URI; with --new-key, repeatable.")
@click.option("--profile", default="server", show_default=True, help="The kind of certificate.")
@click.option("--validity", type=DURATION, default=0, help="Its life, such as 30d; the profile's own without it.")
@click.option("--owner", default="", help="Who answers for it.")
@click.option("--tag", "tags", multiple=True, help="A label to find it by, key or key=value; repeatable.")
@click.option("--out", type=click.Path(path_type=Path), help="Where the chain goes (PEM, leaf first); else stdout.")
def issue(session: Session, csr: Path | None, **options: Any) -> None:
    """Issues a certificate for a CSR, or for a new key and names.

    From a CSR (PEM or DER) come the public key and the names, nothing else. A key that is made here is
    written with mode 0600 and never overwrites a file.
    """
    _demand_one_key(csr, options["new_key"])
    if csr is not None and options["names"]:
        raise BadRequest("The names of a CSR stand in the CSR.", next_step="Leave out --name.")
    with session.authority() as authority:
        _issue(session, authority, csr, options)


@command(changes=True)
@click.argument("certificate")
@click.argument("csr", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--new-key", type=click.Path(path_type=Path), metavar="OUT", help="Make a P-256 key and write it to OUT.")
@click.option("--validity", type=DURATION, default=0, help="Its life, such as 30d; the profile's own without it.")
@click.option("--out", type=click.Path(path_type=Path), help="Where the chain goes (PEM, leaf first); else stdout.")
def renew(session: Session, certificate: str, csr: Path | None, **options: Any) -> None:
    """Issues the successor of a certificate, for a CSR or a new key: of its names, profile, owner and tags.

    CERTIFICATE is a serial, a SHA-256 or a file. It stays valid until its end; the successor's record says what it
    replaces. A CSR has to name the same names.
    """
    _demand_one_key(csr, options["new_key"])
    with session.authority() as authority:
        one = find_certificate(authority, certificate)
        if one.profile == "own":
            raise Conflict("It is the service's own.", next_step="Start the scheduler: it renews it in time.")
        if one.revoked_at:
            raise Conflict(
                "It is revoked, and nothing renews it.", next_step="Run 'certwright cert issue' for a new one."
            )
        _issue(session, authority, csr, {**options, **_as_before(authority, one)}, one)


def _as_before(authority: "Authority", one: "Certificate") -> dict[str, Any]:
    """What the options of `issue` would be for this certificate."""
    return {
        "names": [str(name.value) for name in one.names],
        "profile": one.profile,
        "owner": one.owner,
        "tags": authority.tags([one]).get(one.serial, ()),
    }


def _demand_one_key(csr: Path | None, new_key: Path | None) -> None:
    if (csr is None) == (new_key is None):
        raise BadRequest("Name either a CSR or --new-key OUT.", next_step="Add --help to see how.")


def _issue(
    session: Session,
    authority: "Authority",
    csr: Path | None,
    options: dict[str, Any],
    before: "Certificate | None" = None,
) -> None:
    """For the key of a CSR or a new one; as the successor of a certificate, if there is one `before`."""
    new_key: Path | None = options["new_key"]
    _demand_place(options["out"], new_key)
    with ExitStack() as undo:
        request = _from_csr(csr, options) if csr else _from_new_key(new_key, options, undo, session.dry_run)
        if before:
            request = _succeeding(before, request)
        if session.dry_run:
            return _say_what_would_be(session, authority, request)
        certificate = authority.issue(request)
        undo.pop_all()
        chain = authority.chain(certificate)
        if options["out"]:
            options["out"].write_bytes(chain)
        _say_issued(session, authority, certificate, "" if options["out"] else chain.decode())
    return None


def _succeeding(before: "Certificate", request: "IssueRequest") -> "IssueRequest":
    if set(request.names) != set(before.names):
        raise BadRequest("The CSR has other names.", next_step="Run 'certwright cert issue' for another certificate.")
    return replace(request, names=before.names, common_name=before.common_name, replaces=serial_hex(before.serial))


def _demand_place(out: Path | None, new_key: Path | None) -> None:
    """Before anything is signed: the chain can be written, and not over the key that is about to be made."""
    if out is None:
        return
    if new_key is not None and out.resolve() == new_key.resolve():
        raise BadRequest("--out and --new-key name the same file.", next_step="Give the chain a name of its own.")
    if out.is_dir() or not os.access(out if out.exists() else out.parent, os.W_OK):
        raise BadRequest(f"{out} cannot be written: nothing was issued.", next_step="Choose another place by --out.")


def _from_csr(path: Path, options: dict[str, Any]) -> "IssueRequest":
    from ca import csr

    request = csr.parse(path.read_bytes())
    return _request(request.spki, request.names, request.common_name, options)


def _from_new_key(path: Path | None, options: dict[str, Any], undo: ExitStack, dry_run: bool) -> "IssueRequest":
    """The key is on disk before the certificate exists; it goes away again when there will be none."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    from ca.names import parse_any

    names = tuple(dict.fromkeys(parse_any(name) for name in options["names"]))
    if not names:
        raise BadRequest("A new key needs names.", next_step="Add --name HOST, once for each name.")
    key = ec.generate_private_key(ec.SECP256R1())
    if path and not dry_run:
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
        undo.callback(path.unlink)
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return _request(spki, names, "", options)


def _request(spki: bytes, names: "tuple[Name, ...]", common_name: str, options: dict[str, Any]) -> "IssueRequest":
    from ca.authority import tags
    from ca.records import IssueRequest

    return IssueRequest(
        spki,
        names,
        options["profile"],
        operator(),
        common_name=common_name,
        validity=options["validity"],
        owner=options["owner"],
        tags=tags.parse(options["tags"]),
    )


def _say_what_would_be(session: Session, authority: "Authority", request: "IssueRequest") -> None:
    """Asks policy without writing or signing anything; raises what an issuance would raise."""
    from ca.profiles import certificate_period

    profile, issuer, now = authority.profile(request.profile), authority.active_issuer(), authority.clock()
    authority.policy.permit(request, profile, issuer, now)
    period = profile.period(request, now, certificate_period(issuer.certificate))
    would = {
        "dry_run": True,
        "issuer": issuer.id,
        "profile": profile.name,
        "names": [name.value for name in request.names],
        "not_before": rfc3339(period.not_before),
        "not_after": rfc3339(period.not_after),
    }
    shown = {**would, "names": ", ".join(name.value for name in request.names)}
    answer(session, would, lambda: "Would issue:\n" + facts(shown.items()))


def _say_issued(session: Session, authority: "Authority", certificate: "Certificate", chain: str) -> None:
    shape = shapes.certificate(certificate, authority.clock())
    if session.json:
        answer(session, {**shape, "chain": authority.chain(certificate).decode()}, "")
        return
    if chain:
        click.echo(chain, nl=False)
    if not session.quiet:
        click.echo(f"issued {shape['serial']} for {', '.join(shape['names'])}, until {shape['not_after']}", err=True)


# --- find ---------------------------------------------------------------------------------------


@command()
@click.option("--status", type=click.Choice(["valid", "revoked", "expired", "expiring"]), help="Only those.")
@click.option("--name", default="", help="A whole name, or *.suffix.")
@click.option("--text", default="", help="How a name, the CN or the serial begins.")
@click.option("--profile", default="", help="Only of that profile.")
@click.option("--owner", default="", help="Only of that owner.")
@click.option("--tag", default="", help="Only with that tag, or with that key whatever its value.")
@click.option("--issuer", default="", help="Only of that issuer.")
@click.option("--within", type=DURATION, default="30d", show_default=True, help="What --status expiring means.")
@click.option("--limit", type=click.IntRange(1), help=f"At most so many. [default: {SHOWN}; with --json all]")
def list_(session: Session, limit: int | None, status: str | None, within: int, **wanted: Any) -> None:
    """Lists certificates, newest first."""
    from ca.records import Query

    query = Query(status=status or "", expiring_within=within, **wanted)
    with session.authority() as authority:
        if session.json:
            stream(shapes.certificate(one, authority.clock()) for one in found(authority, query, limit))
        elif not session.quiet:
            rows = list(found(authority, query, (limit or SHOWN) + 1))
            click.echo(_listed(rows, limit or SHOWN, authority.clock()))


def found(authority: "Authority", query: "Query", limit: int | None) -> "Iterator[Certificate]":
    """Page after page, until `limit` or the end."""
    from dataclasses import replace

    while True:
        page = authority.find(replace(query, limit=min(limit or PAGE, PAGE)))
        yield from page.items[:limit]
        limit = limit - len(page.items) if limit else None
        if not page.next or (limit is not None and limit <= 0):
            return
        query = replace(query, after=page.next)


def _listed(rows: "list[Certificate]", limit: int, now: int) -> str:
    head = ("status", "names", "profile", "until", "owner", "serial")
    cells = []
    for row in rows[:limit]:
        shape = shapes.certificate(row, now)
        until = shape["not_after"][:10]
        cells.append((shape["status"], _short(shape["names"]), row.profile, until, row.owner, shape["serial"]))
    text = table(head, cells, "No certificate matches. 'certwright cert issue --help' says how to get one.")
    return text + (f"\n… more: add --limit {limit * 10}" if len(rows) > limit else "")


def _short(names: list[str]) -> str:
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")


@command()
@click.argument("certificate")
@click.option("--pem", is_flag=True, help="Print the chain alone, as PEM, leaf first.")
def show(session: Session, certificate: str, pem: bool) -> None:
    """Shows one certificate, by serial, SHA-256 or file."""
    with session.authority() as authority:
        one = find_certificate(authority, certificate)
        chain = authority.chain(one).decode()
        if pem and not session.json:
            click.echo(chain, nl=False)
            return
        tags = list(authority.tags([one]).get(one.serial, ()))
        shape = {**shapes.certificate(one, authority.clock()), "tags": tags}
        text = {**shape, "names": ", ".join(shape["names"]), "tags": ", ".join(tags)}
        answer(session, {**shape, "chain": chain}, lambda: facts((k, v) for k, v in text.items() if v))


@command()
def orphans(session: Session) -> None:
    """Lists serials that are known without their certificate.

    `abandoned`: they may have been signed and were never handed out; they are revoked and never used again.
    `imported`: they were signed, and a restore has lost the rest; they are valid unless revoked.
    """
    with session.authority() as authority:
        rows = [shapes.orphan(one) for one in (*authority.store.orphans(), *authority.store.imported())]
    head = ("serial", "state", "issuer", "profile", "asker", "created_at")
    text = table(head, [[row[name] for name in head] for row in rows], "There are no orphans.")
    answer(session, rows, text)
