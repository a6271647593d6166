"""`certwright ocsp`: asks the status plane as a relying party does, and believes nothing that it does not verify."""

from typing import TYPE_CHECKING

import click

from cli.output import answer, facts
from cli.session import Session, command
from cli.types import find_certificate

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.x509.ocsp import OCSPResponse


@command()
@click.argument("certificate")
@click.option("--url", default="", help="Ask there, instead of at server.status_url.")
def check(session: Session, certificate: str, url: str) -> int:
    """Asks for the status of a certificate (serial, SHA-256 or file) over HTTP, and verifies the answer.

    Exit code 0 for good, 1 for revoked, 3 when the responder knows no such certificate.
    """
    from cryptography import x509

    from ca import relying
    from ca.clock import rfc3339
    from ca.records import serial_hex

    with session.authority() as authority:
        one = find_certificate(authority, certificate)
        issuer = x509.load_der_x509_certificate(authority.store.issuer(one.issuer).certificate)
        leaf = x509.load_der_x509_certificate(one.der)
        where = url or f"{session.config.server.status_url}/ocsp"
        response = ask(where, leaf, issuer)
        relying.verify_answer(response, issuer, authority.clock())
    times = {"this_update": response.this_update_utc, "next_update": response.next_update_utc}
    shape = {
        "serial": serial_hex(response.serial_number),
        "status": response.certificate_status.name.lower(),
        "url": where,
        **{name: rfc3339(int(time.timestamp())) if time else None for name, time in times.items()},
        "revoked_at": rfc3339(int(at.timestamp())) if (at := response.revocation_time_utc) else None,
        "reason": response.revocation_reason.value if response.revocation_reason else None,
    }
    answer(session, shape, lambda: facts((name, value) for name, value in shape.items() if value))
    return 0 if shape["status"] == "good" else 1


def ask(url: str, leaf: "x509.Certificate", issuer: "x509.Certificate") -> "OCSPResponse":
    """The response, not yet verified.

    Raises `NotFound` for unauthorized, `Unavailable` for no answer, `BadRequest` for no URL of a responder.
    """
    from ca import relying

    return relying.read_answer(relying.fetch(url, relying.request(issuer, leaf.serial_number)))
