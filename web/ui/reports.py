"""Reports: what ends, was issued or was revoked, by owner or by profile; as a page that prints, CSV and JSON."""

import json
from dataclasses import asdict

from flask import Blueprint, Response, request

from ca.authority import Authority
from ca.authority.summary import GROUPS, KINDS, Summary
from ca.clock import rfc3339
from ca.errors import BadRequest, NotFound
from web.ui import exports
from web.ui.door import seat
from web.ui.pages import page

SPANS = (7, 30, 90, 365)


def mount(blueprint: Blueprint, _authority: Authority) -> None:
    """The page, and the same as a file."""

    @blueprint.get("/reports")
    def reports() -> Response:
        try:
            return _page(_asked(), 200)
        except BadRequest as error:
            return _page(seat().summary(KINDS[0], GROUPS[0], SPANS[1]), 400, error)

    @blueprint.get("/reports/summary.<file>")
    def report_file(file: str) -> Response:
        if file not in FILES:
            raise NotFound("There is no such file.", next_step=f"Ask for {' or '.join(FILES)}.")
        found = _asked()
        make, mime = FILES[file]
        name = f"{found.kind}-by-{found.by}-{rfc3339(found.start)[:10]}.{file}"
        return Response(make(found), content_type=mime, headers={"Content-Disposition": f"attachment; filename={name}"})


def _page(found: Summary, status: int, error: BadRequest | None = None) -> Response:
    days = round((found.end - found.start) / 86400)
    return page("reports.html", status, found=found, days=days, kinds=KINDS, groups=GROUPS, spans=SPANS, error=error)


def _asked() -> Summary:
    asked = request.args
    days = asked.get("days", str(SPANS[1]))
    if not (days.isascii() and days.isdigit() and len(days) < 5):
        raise BadRequest("Days are a number.", next_step=f"Choose one of {', '.join(map(str, SPANS))}.")
    return seat().summary(asked.get("kind", KINDS[0]), asked.get("by", GROUPS[0]), int(days))


def _csv(found: Summary) -> bytes:
    rest = [("(the rest)", found.rest)] if found.rest else []
    return exports.table((found.by, found.kind), [*found.lines, *rest])


def _json(found: Summary) -> bytes:
    lines = [{found.by: name, "count": count} for name, count in found.lines]
    span = {"start": rfc3339(found.start), "end": rfc3339(found.end)}
    return json.dumps({**asdict(found), **span, "lines": lines, "total": found.total}, indent=1).encode()


FILES = {"csv": (_csv, "text/csv; charset=utf-8"), "json": (_json, "application/json")}
