"""What a publication is outside: the files or objects at the URLs that relying parties ask for.

An OCSP answer is published by its CertID. Outside it lies at the URL of a GET without nonce (RFC 5019 §5), whose last
part is the base64 of the only request that there is for it, and, with a SHA-1 CertID, as the staple of its serial.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from ca.ocsp import ALGORITHMS, CertID, read_path
from ca.records import Publication, serial_hex

MAX_AGE = 300
"""Seconds that a cache may hold it, as the status plane itself says."""

_WHOLE = ("crl", "ca", "chain", "roots")


@dataclass(frozen=True, slots=True)
class Item:
    """One file or object. `path` is that of its URL, without the slash in front; an OCSP request is not escaped."""

    path: str
    body: bytes
    content_type: str
    fresh_until: int

    @property
    def part(self) -> str:
        """Which part of what is published it belongs to: crl, ca, chain, roots, ocsp or staple."""
        return self.path.partition("/")[0].removesuffix(".pem")

    @property
    def headers(self) -> dict[str, str]:
        """What HTTP servers are to send with it."""
        sent = {
            "Content-Type": self.content_type,
            "Cache-Control": f"max-age={MAX_AGE}, public, no-transform, must-revalidate",
        }
        return {**sent, "Expires": formatdate(self.fresh_until, usegmt=True)} if self.fresh_until else sent


def items(publication: Publication) -> Iterator[Item]:
    """Everything that it is outside; nothing for what waits for its time, such as a root's next lists."""
    part = publication.path.partition("/")[0].removesuffix(".pem")
    if part == "ocsp":
        yield from _answer(publication, read_path(publication.path))
    elif part in _WHOLE:
        yield _item(publication.path, publication)


def _answer(publication: Publication, asked: CertID) -> Iterator[Item]:
    yield _item(f"ocsp/{get_name(asked)}", publication)
    if asked.algorithm == "sha1":
        yield _item(f"staple/{serial_hex(asked.serial)}.der", publication)


def _item(path: str, publication: Publication) -> Item:
    return Item(path, publication.body, publication.content_type, publication.fresh_until)


def get_name(asked: CertID) -> str:
    """The base64 by which a GET asks for it, as OpenSSL and nginx encode the request."""
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        asked.name_hash, asked.key_hash, asked.serial, ALGORITHMS[asked.algorithm]
    )
    return base64.b64encode(builder.build().public_bytes(Encoding.DER)).decode()
