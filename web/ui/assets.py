"""Styles, scripts and icons: read once, compressed once, named with a digest, so that browsers keep them for ever."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, request, url_for

from ca.errors import NotFound

FOLDER = Path(__file__).parents[1] / "static"
KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""What is served; everything else in the folder (licences) is not."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, plain and compressed."""

    plain: bytes
    packed: bytes
    kind: str
    digest: str


@cache
def shelf() -> dict[str, Asset]:
    """Every file by its path below the folder."""
    found = sorted(path for path in FOLDER.rglob("*") if path.suffix in KINDS)
    return {path.relative_to(FOLDER).as_posix(): _read(path) for path in found}


def _read(path: Path) -> Asset:
    plain = path.read_bytes()
    return Asset(plain, gzip.compress(plain, 9, mtime=0), KINDS[path.suffix], hashlib.sha256(plain).hexdigest()[:12])


def url(name: str) -> str:
    """The address of a file, another one when its bytes are others."""
    return url_for("ui.static", filename=name, v=shelf()[name].digest)


def mount(blueprint: Blueprint) -> None:
    """Serves them."""

    @blueprint.get("/static/<path:filename>")
    def static(filename: str) -> Response:
        found = shelf().get(filename)
        if found is None:
            raise NotFound("There is no such file.", next_step="Load the page again.")
        return _answer(found)


def _answer(asset: Asset) -> Response:
    pack = request.accept_encodings.quality("gzip") > 0
    response = Response(asset.packed if pack else asset.plain, content_type=asset.kind)
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    response.headers["Vary"] = "Accept-Encoding"
    response.set_etag(asset.digest + ("-gz" if pack else ""))
    if pack:
        response.headers["Content-Encoding"] = "gzip"
    response.make_conditional(request)
    return response
