"""`certwright cert revoke|release|revocations`: one certificate, or all that a query finds."""

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ca.clock import rfc3339
from ca.errors import BadRequest, HSMError, NotFound
from cli import shapes
from cli.output import answer, table
from cli.session import Session, command, operator
from cli.types import find_certificate

if TYPE_CHECKING:
    from collections.abc import Callable

    from ca.authority import Authority, Revoked
    from ca.records import MassRevocation, Query, RevokeRequest, Stopwatch

REASONS = (
    "unspecified",
    "keyCompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "privilegeWithdrawn",
    "certificateHold",
)
SEEN_WITHIN = 3.0
"""Seconds that a command waits until the revocation is seen from outside."""


@command(changes=True, eyes=True)
@click.argument("certificate", required=False)
@click.option("--query", default="", help="All that match, such as 'owner:payments name:*.pay.test'.")
@click.option("--key", default="", help="All for this public key: the SHA-256 of its SPKI, or a certificate's file.")
@click.option("--account", default="", help="All of this ACME account.")
@click.option(
    "--issuer", default="", help="All of this issuer; with a serial, whose it is, though the records lack it."
)
@click.option("--reason", type=click.Choice(REASONS), default="unspecified", show_default=True, help="Why.")
@click.option("--comment", default="", help="For those who read the records later.")
@click.option("--invalid-since", type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"]), help="invalidityDate (UTC).")
def revoke(session: Session, certificate: str | None, **options: Any) -> None:
    """Revokes a certificate, by serial, SHA-256 or file, and publishes that at once; or all that a query finds.

    Then it looks from outside until OCSP and CRL tell of it, and says how long that took. It cannot be undone, but for
    certificateHold. When the HSM cannot be reached the revocation stands, and the scheduler publishes it. Revoking many
    first calls ACME clients to renew (see 'certwright acme renewal call'), and goes on where it stopped when it was
    interrupted: the scheduler takes over. It leaves out what this CA serves its own pages with.
    """
    request = _request(options)
    query = _query(options, alone=certificate is None)
    with session.authority() as authority:
        if certificate is None:
            _revoke_many(session, authority, query, request)
        else:
            _revoke_one(session, authority, certificate, options["issuer"], request)


def _request(options: dict[str, Any]) -> "RevokeRequest":
    from datetime import UTC

    from ca.records import Reason, RevokeRequest

    since = options["invalid_since"]
    date = int(since.replace(tzinfo=UTC).timestamp()) if since else 0
    return RevokeRequest(Reason(options["reason"]), operator(), options["comment"], date)


def _query(options: dict[str, Any], *, alone: bool) -> "Query":
    """What the selecting options say together. Raises `BadRequest` unless there is one way to read them."""
    from dataclasses import replace

    from ca.authority.masses import parse_query
    from ca.records import Query

    chosen = {name: options[name] for name in ("account", "issuer") if options[name]}
    if options["key"]:
        chosen["public_key"] = _spki_sha256(options["key"])
    query = replace(parse_query(options["query"]), **chosen)
    if alone == (query == Query()) or (not alone and query != Query(issuer=options["issuer"])):
        raise BadRequest(
            "Name one certificate, or some of --query, --key, --account and --issuer.",
            next_step="Run 'certwright cert revoke --help'.",
        )
    return query


def _spki_sha256(named: str) -> str:
    import hashlib

    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    if not Path(named).is_file():
        return named.lower().replace(":", "")
    key = _load(Path(named).read_bytes()).public_key()
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _load(data: bytes) -> Any:
    from cryptography import x509

    try:
        read = x509.load_pem_x509_certificate if b"-----BEGIN" in data else x509.load_der_x509_certificate
        return read(data)
    except ValueError as error:
        raise BadRequest(
            f"There is no certificate in that file: {error}.", next_step="Name a PEM or DER file."
        ) from None


# --- one ----------------------------------------------------------------------------------------


def _revoke_one(session: Session, authority: "Authority", named: str, issuer: str, request: "RevokeRequest") -> None:
    label, revoke_it = _target(authority, named, issuer, request)
    if session.dry_run:
        shape = {"dry_run": True, "certificate": label, "reason": request.reason.value}
        answer(session, shape, f"Would revoke {label} for {request.reason}.")
        return
    session.confirm(f"Revoke {label} for {request.reason}?")
    revoked = revoke_it()
    seen = authority.watch(revoked, SEEN_WITHIN)
    answer(session, shapes.revoked(revoked, seen), lambda: f"revoked {label}\n{_told(revoked, seen)}")


def _target(
    authority: "Authority", named: str, issuer: str, request: "RevokeRequest"
) -> "tuple[str, Callable[[], Revoked]]":
    """What is to be revoked in words, and the deed; also of a certificate that the records do not know."""
    try:
        one = find_certificate(authority, named)
    except NotFound:
        return _stranger(authority, named, issuer, request)
    shape = shapes.certificate(one, authority.clock())
    label = f"{shape['serial']} ({', '.join(shape['names'])})"
    return label, lambda: authority.revoke_serial(one.issuer, one.serial, request)


def _stranger(
    authority: "Authority", named: str, issuer: str, request: "RevokeRequest"
) -> "tuple[str, Callable[[], Revoked]]":
    """A certificate of ours that was never stored: by its file, or by serial and issuer."""
    from ca.authority.revoke import issuer_of
    from ca.crl import not_after

    if Path(named).is_file():
        issuer, serial, end = issuer_of(authority, Path(named).read_bytes())
    elif issuer:
        serial, end = int(named.replace(":", "").removeprefix("0x"), 16), not_after(authority.store.issuer(issuer))
    else:
        raise NotFound("There is no such certificate.", next_step="To revoke a serial all the same, add --issuer.")
    return f"{serial:x} of {issuer}, unknown here", lambda: authority.revoke_serial(issuer, serial, request, end)


def _told(revoked: "Revoked", seen: "Stopwatch") -> str:
    lines = [f"OCSP: {_seen(seen.ocsp_ms)}", f"CRL: {_seen(seen.crl_ms)}"]
    if revoked.published_in is None:
        lines.append("Not published yet: the scheduler will publish it.")
    if seen.good_until:
        lines.append(f"The last good answer expires at {rfc3339(seen.good_until)}.")
    return "\n".join(lines)


def _seen(milliseconds: int) -> str:
    return f"seen from outside after {milliseconds / 1000:.2f} s" if milliseconds >= 0 else "not seen from outside yet"


@command(changes=True)
@click.argument("certificate")
@click.option("--comment", default="", help="For those who read the records later.")
def release(session: Session, certificate: str, comment: str) -> None:
    """Takes a hold (certificateHold) back: the certificate is good again, in OCSP and CRL."""
    from ca.records import Reason, RevokeRequest, serial_hex

    request = RevokeRequest(Reason.CERTIFICATE_HOLD, operator(), comment)
    with session.authority() as authority:
        one = find_certificate(authority, certificate)
        serial = serial_hex(one.serial)
        if session.dry_run:
            answer(session, {"dry_run": True, "serial": serial}, f"Would release {serial}.")
            return
        session.confirm(f"Release {serial}?")
        done = authority.release(one.issuer, one.serial, request)
    published = "the scheduler will publish it" if done.published_in is None else f"{done.published_in:.1f} s"
    shape = {"serial": serial, "published_in": done.published_in}
    answer(session, shape, f"released {serial}; published: {published}")


# --- many ---------------------------------------------------------------------------------------


def _revoke_many(session: Session, authority: "Authority", query: "Query", request: "RevokeRequest") -> None:
    import acme_server

    count, sample = authority.preview_mass(query, request)
    _say_what_is_spared(authority, query)
    now = authority.clock()
    if session.dry_run:
        shown = [shapes.certificate(one, now) for one in sample]
        lines = [f"Would revoke {count} certificates for {request.reason}, such as:"]
        lines += [f"  {one['serial']}  {', '.join(one['names'][:3])}" for one in shown]
        answer(session, {"dry_run": True, "count": count, "sample": shown}, "\n".join(lines))
        return
    session.confirm(f"Revoke {count} certificates for {request.reason}?")
    session.demand_second(authority, finds=count)
    began = time.monotonic()
    mass = authority.begin_mass(query, request)
    try:
        call = partial(acme_server.call_ahead, authority)
        mass = authority.go_on_with_mass(mass.id, partial(_progress, session), call)
    except HSMError as error:
        click.echo(f"Not published yet: {error} The scheduler goes on.", err=True)
        mass = authority.mass(mass.id)
    seconds = round(time.monotonic() - began, 1)
    text = f"revoked {mass.revoked}, skipped {mass.skipped} ({mass.id}, {seconds} s)"
    answer(session, {**shapes.mass(mass), "seconds": seconds}, text)


def _say_what_is_spared(authority: "Authority", query: "Query") -> None:
    from ca.authority import masses

    if masses.spared(authority, query):
        click.echo(masses.SPARED, err=True)


def _progress(session: Session, mass: "MassRevocation") -> None:
    if not (session.quiet or session.json):
        click.echo(f"  {mass.revoked} of {mass.total}", err=True)


@command()
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most so many.")
def revocations(session: Session, limit: int) -> None:
    """Lists mass revocations, the newest first, and how far they are."""
    with session.authority() as authority:
        rows = [shapes.mass(one) for one in authority.masses(limit)]
    head = ("id", "state", "revoked", "total", "reason", "query", "by", "created_at")
    cells = [[row[name] for name in head] for row in rows]
    answer(session, rows, lambda: table(head, cells, "There were none. 'certwright cert revoke --help' says how."))
