"""AWS Signature Version 4 of one request to S3, as the buckets of many makers check it.

Written here: the whole of it is four HMACs over a text, and the libraries that have it bring an SDK along. It is held
against the example that AWS publishes.
"""

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who signs, and for which region. The secret is in no text of this object."""

    access_key: str
    secret: str = field(repr=False)
    region: str


def signed(credentials: Credentials, path: str, headers: Mapping[str, str], body: bytes, now: int) -> dict[str, str]:
    """The headers of a PUT with those that sign it; all are signed, and one of them has to be `Host`.

    `path` is that of the URL, escaped as it is sent: S3 signs it as it is. `now` is in epoch seconds; S3 refuses what
    is more than a quarter of an hour off.
    """
    digest = hashlib.sha256(body).hexdigest()
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    sent = {**headers, "x-amz-content-sha256": digest, "x-amz-date": at}
    canonical = sorted((name.lower(), " ".join(value.split())) for name, value in sent.items())
    names = ";".join(name for name, _ in canonical)
    request = "\n".join(("PUT", path, "", *(f"{name}:{value}" for name, value in canonical), "", names, digest))
    scope = f"{at[:8]}/{credentials.region}/s3/aws4_request"
    text = "\n".join((_ALGORITHM, at, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = reduce(_hmac, scope.split("/"), f"AWS4{credentials.secret}".encode())
    signature = _hmac(key, text).hex()
    who = f"Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**sent, "Authorization": f"{_ALGORITHM} {who}"}


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
