"""`certwright user certificate`: TLS client certificates that sign people in at the web UI."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ca.clock import rfc3339
from cli.output import answer, table
from cli.session import Session, command, operator

if TYPE_CHECKING:
    from ca.people import ClientCertificate


@command(changes=True, eyes=True)
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def bind(session: Session, name: str, file: Path) -> None:
    """Lets the certificate in FILE (PEM or DER) sign a user in, besides what he signs in with already.

    It must be for TLS clients (clientAuth), and issued here or by a CA of ui.client_certificates.ca_file.
    """
    from ca.authority import bindings

    certificate = _read(file)
    with session.authority() as authority:
        authority.store.person(name)
        if session.dry_run:
            answer(session, {"dry_run": True, "name": name}, f"Would bind {file} to {name}.")
            return
        session.demand_second(authority, certificate=bindings.sha256_of(certificate))
        one = bindings.bind(authority, name, certificate, operator())
    answer(session, _shape(one), f"{one.sha256} signs {name} in.")


@command()
@click.argument("name", default="")
def list_(session: Session, name: str) -> None:
    """Lists client certificates and whom they sign in; of one user with NAME."""
    with session.authority() as authority:
        if name:
            authority.store.person(name)
        shown = [_shape(one) for one in authority.store.client_certificates(name)]
    head = ("name", "sha256", "subject", "not_after", "bound_by")
    rows = [[str(one[key]) for key in head] for one in shown]
    empty = "No certificate signs anybody in: certwright user certificate bind NAME FILE"
    answer(session, shown, lambda: table(head, rows, empty))


@command(changes=True)
@click.argument("name")
@click.argument("sha256")
def unbind(session: Session, name: str, sha256: str) -> None:
    """Ends what a certificate is good for, by its SHA-256, and everything that its user is signed in with."""
    from ca.authority import bindings

    sha256 = sha256.replace(":", "").lower()
    with session.authority() as authority:
        authority.store.client_certificate(sha256)
        if session.dry_run:
            answer(session, {"dry_run": True, "name": name, "sha256": sha256}, f"Would unbind {sha256} from {name}.")
            return
        session.confirm(f"Unbind {sha256} from {name}?")
        bindings.unbind(authority, name, sha256, operator())
    answer(session, {"name": name, "sha256": sha256}, f"{sha256} signs nobody in any more.")


def _read(file: Path) -> Any:
    from cryptography import x509

    from ca.errors import BadRequest

    content = file.read_bytes()
    load = x509.load_pem_x509_certificate if b"-----BEGIN" in content else x509.load_der_x509_certificate
    try:
        return load(content)
    except ValueError:
        raise BadRequest(f"{file} is no certificate.", next_step="Give one in PEM or DER.") from None


def _shape(one: "ClientCertificate") -> dict[str, Any]:
    return {
        "name": one.person,
        "sha256": one.sha256,
        "subject": one.subject,
        "not_after": rfc3339(one.not_after),
        "bound_at": rfc3339(one.bound_at),
        "bound_by": one.bound_by,
    }
