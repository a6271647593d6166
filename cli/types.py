"""Words of the command line that become values: durations, and the ways to name a certificate."""

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ca.errors import BadRequest

if TYPE_CHECKING:
    from ca.authority import Authority
    from ca.records import Certificate

LONGEST = 36_525 * 86_400
"""Seconds. What lasts longer overflows the columns of times, and nobody means it."""


class Duration(click.ParamType[int]):
    """`90d`, `24h`, `1h30m`: seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from ca.sections import seconds

        try:
            asked = int(str(seconds(value)))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if asked == 0 and isinstance(value, str):  # 0 as a default means: nothing was asked for
            self.fail(f"{value!r} is no time at all", param, ctx)
        if asked > LONGEST:
            self.fail(f"{value!r} is longer than a hundred years", param, ctx)
        return asked


DURATION = Duration()


def find_certificate(authority: "Authority", named: str) -> "Certificate":
    """The certificate of a serial (hex), a SHA-256 or a PEM or DER file. Raises `NotFound` or `BadRequest`."""
    path = Path(named)
    if path.is_file():
        return authority.store.by_sha256(hashlib.sha256(certificate_der(path.read_bytes())).hexdigest())
    digits = named.lower().replace(":", "").removeprefix("0x")
    if not re.fullmatch(r"[0-9a-f]+", digits):
        raise BadRequest(f"{named} is no file and no serial.", next_step="Name a serial as 'cert list' shows it.")
    return authority.store.by_sha256(digits) if len(digits) == 64 else authority.certificate(int(digits, 16))


def certificate_der(data: bytes) -> bytes:
    """DER of the first certificate in a PEM or DER file. Raises `BadRequest`."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        is_pem = b"-----BEGIN" in data
        read = x509.load_pem_x509_certificate(data) if is_pem else x509.load_der_x509_certificate(data)
    except ValueError as error:
        raise BadRequest(
            f"There is no certificate in that file: {error}.", next_step="Name a PEM or DER file."
        ) from None
    return read.public_bytes(Encoding.DER)
