"""Audit: the journal by who, what, about what and when; verified at a click; exported as lines of JSON or CSV."""

import json
from datetime import UTC, datetime

from flask import Blueprint, Response, request, url_for

from ca.authority import Authority
from ca.clock import rfc3339
from ca.errors import BadRequest
from ca.store import EventQuery
from web.ui import exports
from web.ui.door import go, seat
from web.ui.pages import page

MOST = 10_000
"""Entries in one file; the whole journal comes by 'certwright audit export'."""

HEAD = ("at", "action", "actor", "object", "result", "reason", "key", "request_id", "detail")


def mount(blueprint: Blueprint, _authority: Authority) -> None:
    """The journal's pages."""

    @blueprint.get("/audit")
    def audit() -> Response:
        return _listed()

    @blueprint.post("/audit/verify")
    def verify() -> Response:
        seat().start_verification()
        return go(url_for("ui.audit"))

    @blueprint.get("/audit/verification")
    def verification() -> Response:
        return page("_verification.html", verification=seat().verification())

    @blueprint.get("/audit/export.<kind>")
    def export_events(kind: str) -> Response:
        return _file(seat().find_all_events(_query(), MOST), kind)


def _listed() -> Response:
    error, found = None, None
    try:
        found = seat().find_events(_query())
    except BadRequest as wrong:
        error = wrong
    asked = {name: request.args.get(name, "")[:300] for name in ("actor", "action", "target", "since", "until")}
    values = {"actions": seat().actions(), "verification": seat().verification()}
    return page("audit.html", 400 if error else 200, found=found, asked=asked, error=error, **values)


def _query() -> EventQuery:
    args = request.args
    try:
        before = int(args.get("before", "0") or 0)
        since, until = _day(args.get("since", "")), _day(args.get("until", ""))
    except (ValueError, OverflowError):
        raise BadRequest("That is no day or no place.", next_step="Write days as 2026-12-24.") from None
    if not 0 <= before < 1 << 62:
        raise BadRequest("That is no place in the journal.", next_step="Begin again without it.")
    texts = {name: args.get(name, "")[:300].strip() for name in ("actor", "action", "target")}
    return EventQuery(**texts, since=since, until=until + 86400 if until else 0, before=before)


def _day(text: str) -> int:
    return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) if text else 0


def _file(found: tuple[dict[str, object], ...], kind: str) -> Response:
    if kind == "jsonl":
        body, content_type = b"".join(exports.lines(found)), "application/x-ndjson"
    elif kind == "csv":
        body, content_type = exports.table(HEAD, map(_row, found)), "text/csv; charset=utf-8"
    else:
        raise BadRequest(f"There is no file of the kind {kind[:20]!r}.", next_step="Ask for jsonl or csv.")
    response = Response(body, content_type=content_type)
    response.headers["Content-Disposition"] = f'attachment; filename="journal.{kind}"'
    return response


def _row(event: dict[str, object]) -> list[object]:
    actor = event["actor"]
    assert isinstance(actor, dict)
    at = rfc3339(int(str(event["time"])))
    who = f"{actor['kind']}:{actor['id']}"
    rest = [event[name] for name in ("object", "result", "reason", "key", "request_id")]
    return [at, event["action"], who, *rest, json.dumps(event["detail"], ensure_ascii=False)]
