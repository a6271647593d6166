"""HTTP's caching rules for published bytes: validators, freshness, conditions and ranges (RFC 9110, 9111, 5019 §6).

Pure: a `Shelved` publication, the request's environ and the time go in, an answer comes out.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any, NamedTuple

from werkzeug.http import http_date, parse_date, parse_etags, parse_if_range_header, parse_range_header

from ca.records import Publication

MAX_AGE = 300
"""Seconds: what a cache may hold without asking, so that a revocation is seen within five minutes (O-09)."""

Headers = list[tuple[str, str]]


class Reply(NamedTuple):
    """A WSGI status line, headers and the body. A HEAD answer keeps its Content-Length."""

    status: str
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class Shelved:
    """A publication ready to be served: what does not depend on the request is computed once."""

    publication: Publication
    etag: str
    validators: tuple[tuple[str, str], ...]

    @property
    def size(self) -> int:
        """Octets of the body."""
        return len(self.publication.body)

    def expired(self, now: int) -> bool:
        """Whether its nextUpdate has passed."""
        return 0 < self.publication.fresh_until <= now


def shelve(publication: Publication) -> Shelved:
    """Computes the strong ETag (of the bytes alone), Last-Modified (thisUpdate) and Expires (nextUpdate)."""
    etag = f'"{hashlib.sha256(publication.body).hexdigest()[:32]}"'
    validators = [("etag", etag), ("last-modified", http_date(publication.this_update))]
    if publication.fresh_until:
        validators.append(("expires", http_date(publication.fresh_until)))
    return Shelved(publication, etag, tuple(validators))


def freshness(fresh_until: int, now: int) -> str:
    """Cache-Control: at most MAX_AGE seconds, and never past nextUpdate."""
    age = min(MAX_AGE, max(0, fresh_until - now)) if fresh_until else MAX_AGE
    return f"max-age={age}, public, no-transform, must-revalidate"


def reply(shelved: Shelved, environ: Mapping[str, Any], now: int, *, ranges: bool = False) -> Reply:
    """200, 206, 304 or 416 for a GET or HEAD; for a POST always 200."""
    publication = shelved.publication
    headers: Headers = [*shelved.validators, ("cache-control", freshness(publication.fresh_until, now))]
    if environ["REQUEST_METHOD"] != "POST":
        if _unchanged(shelved, environ):
            return Reply("304 Not Modified", headers, b"")
        if ranges:
            headers.append(("accept-ranges", "bytes"))
            if "HTTP_RANGE" in environ and _range_applies(shelved, environ):
                return _partial(shelved, environ["HTTP_RANGE"], headers)
    headers += [("content-type", publication.content_type), ("content-length", str(shelved.size))]
    return Reply("200 OK", headers, publication.body)


def _unchanged(shelved: Shelved, environ: Mapping[str, Any]) -> bool:
    """If-None-Match alone decides when it is there (RFC 9110 §13.2.2).

    A date must be the very Last-Modified: thisUpdate is backdated, so a client that sends the time of its own
    download (`curl -z FILE`) may have fetched after it and before the revocation that this content carries.
    """
    wanted = environ.get("HTTP_IF_NONE_MATCH")
    if wanted is not None:
        return bool(wanted == shelved.etag or parse_etags(wanted).contains_weak(shelved.etag.strip('"')))
    since = parse_date(environ.get("HTTP_IF_MODIFIED_SINCE"))
    return since is not None and since.timestamp() == shelved.publication.this_update


def _range_applies(shelved: Shelved, environ: Mapping[str, Any]) -> bool:
    """Whether If-Range, if any, names exactly this content; a date must be the very Last-Modified."""
    condition = parse_if_range_header(environ.get("HTTP_IF_RANGE"))
    if condition.etag is not None:
        return condition.etag == shelved.etag.strip('"')
    if condition.date is not None:
        return condition.date.astimezone(UTC).timestamp() == shelved.publication.this_update
    return "HTTP_IF_RANGE" not in environ


def _partial(shelved: Shelved, wanted: str, headers: Headers) -> Reply:
    """One range; what is no single range of bytes is ignored and the whole content sent (RFC 9110 §14.2)."""
    parsed = parse_range_header(wanted)
    kind = [("content-type", shelved.publication.content_type)]
    if parsed is None or parsed.units != "bytes" or len(parsed.ranges) != 1:
        return Reply("200 OK", [*headers, *kind, ("content-length", str(shelved.size))], shelved.publication.body)
    span = parsed.range_for_length(shelved.size)
    if span is None:
        refused = [("content-range", f"bytes */{shelved.size}"), ("content-length", "0"), ("cache-control", "no-store")]
        return Reply("416 Range Not Satisfiable", refused, b"")
    start, stop = span
    place = [("content-range", f"bytes {start}-{stop - 1}/{shelved.size}"), ("content-length", str(stop - start))]
    return Reply("206 Partial Content", [*headers, *kind, *place], shelved.publication.body[start:stop])
