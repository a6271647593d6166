"""What the OpenAPI document says beyond what APIFlask reads off the views: problems, raw CSRs, the token."""

from typing import Any

from apiflask.exceptions import HTTPError
from flask import Response
from pydantic import BaseModel, ValidationError

from ca.errors import BadRequest
from web.api import models
from web.problems import problem

Document = dict[str, Any]
Responses = dict[Any, Any]

_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemOut"}}}
_MEANINGS = {
    400: "The request is malformed, or its CSR is refused",
    401: "No valid token came with the request",
    403: "Outside the token's scope, or forbidden by policy",
    404: "There is no such certificate of this token",
    409: "Not in a state that allows this",
    413: "The body is too large",
    422: "Invalid members, or an Idempotency-Key with another body",
    503: "HSM or database are away: ask again later",
}


def problems(*statuses: int) -> Responses:
    """Problem responses for a view: 401, the given ones, and the ones that any view may have."""
    return {status: {"description": _MEANINGS[status], "content": _PROBLEM} for status in (401, *statuses)}


def _certificate(status: int, description: str) -> Responses:
    content = {
        "application/json": {"schema": {"$ref": "#/components/schemas/IssuedOut"}},
        "application/pem-certificate-chain": {"schema": {"type": "string"}},
    }
    return {status: {"description": description, "content": content}}


ISSUE_RESPONSES = {**_certificate(201, "Issued, now or by the first request with this key"), **problems(*_MEANINGS)}
SHOW_RESPONSES = {**_certificate(200, "The certificate"), **problems(404)}


class InvalidRequest(BadRequest):
    """Members of the request are missing, unknown or of the wrong kind; `errors` says which."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__("; ".join(f"{where}: {', '.join(what)}" for where, what in errors.items()))
        self.errors = errors


def invalid(error: ValidationError) -> InvalidRequest:
    """Pydantic's findings, without the values that were sent."""
    found: dict[str, list[str]] = {}
    for one in error.errors(include_url=False, include_input=False, include_context=False):
        found.setdefault(".".join(map(str, one["loc"])) or "body", []).append(one["msg"])
    return InvalidRequest(found)


def of_invalid(error: InvalidRequest) -> Response:
    """422 with the findings by member."""
    return problem(422, error.detail, code=error.code, errors=error.errors)


def of_apiflask(error: HTTPError) -> Response:
    """APIFlask's own refusal of a request, in the same form."""
    found: dict[str, list[str]] = {}
    for members in error.detail.values() if isinstance(error.detail, dict) else ():
        found |= members
    return of_invalid(InvalidRequest(found)) if found else problem(error.status_code, error.message or "")


def complete(document: Any) -> Any:
    """The finished document."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for model in (models.IssueBody, models.IssuedOut, models.ProblemOut):
        schemas[model.__name__] = _schema(model)
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].setdefault("default", {"description": "Any other problem", "content": _PROBLEM})
    _describe_issue(document["paths"]["/api/v1/certificates"]["post"])
    return document


def _schema(model: type[BaseModel]) -> Document:
    return model.model_json_schema(ref_template="#/components/schemas/{model}")


def _describe_issue(operation: Document) -> None:
    raw = {"schema": {"type": "string", "contentEncoding": "binary"}}
    operation["requestBody"] = {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/IssueBody"}},
            "application/pkcs10": raw,
            "application/x-pem-file": {"schema": {"type": "string"}},
        },
    }
    key = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
    operation["parameters"] = [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "Makes repeating this request safe: a replay gets the first outcome. Kept for 7 days.",
            "schema": key,
        },
        *(
            {"name": name, "in": "query", "required": False, "schema": schema, "description": "With a raw CSR only"}
            for name, schema in _schema(models.IssueQuery)["properties"].items()
        ),
    ]
