"""The OpenAPI document: valid, complete, and true of what the server does."""

import re
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ca.authority import Authority
from tests.web.desk import Asker, make_token
from tests.web.plane import ROOT

pytestmark = pytest.mark.slow


CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture
def document(app: Flask) -> dict[str, Any]:
    found: dict[str, Any] = app.test_client().get("/api/openapi.json").get_json()
    return found


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(document).validate()


def test_every_route_of_the_api_is_in_the_document_and_nothing_else(app: Flask, document: dict[str, Any]) -> None:
    routes = {
        (rule.rule.replace("<", "{").replace(">", "}"), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = {(path, method) for path, operations in document["paths"].items() for method in operations}
    assert described == routes


def test_every_operation_wants_the_token_and_tells_its_problems(document: dict[str, Any]) -> None:
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["security"] == [{"token": []}]
            assert "401" in operation["responses"]
            assert operation["summary"]
    issue = document["paths"]["/api/v1/certificates"]["post"]
    assert set(issue["requestBody"]["content"]) >= {"application/json", "application/pkcs10"}
    assert "Idempotency-Key" in [one["name"] for one in issue["parameters"]]


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_schemathesis_finds_no_5xx_and_no_answer_that_is_not_described(
    app: Flask, authority: Authority, mode: GenerationMode
) -> None:
    """Forty requests an operation, by the document and against it, all with a token that is good."""
    headers = Asker(app.test_client(), make_token(authority)).headers
    schema = schemathesis.openapi.from_wsgi("/api/openapi.json", app)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) == 8
    for operation in operations:

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        def probe(case: Any) -> None:
            if case.query:
                case.query.pop("wait", None)  # answered in up to 25 seconds, as it should be
            case.call_and_validate(headers=headers, checks=CHECKS)

        try:
            probe()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, "nothing can be sent against the document here"


def test_docs_name_every_operation_and_no_other(document: dict[str, Any]) -> None:
    text = (ROOT / "docs/api.md").read_text()
    told = set(re.findall(r"^\| `(GET|POST|PUT|DELETE) (/api/v1/\S+)`", text, re.MULTILINE))
    described = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    assert told == described


def test_docs_name_every_member_of_a_search(document: dict[str, Any]) -> None:
    text = (ROOT / "docs/api.md").read_text()
    for path in ("/api/v1/certificates", "/api/v1/publications"):
        for parameter in document["paths"][path]["get"]["parameters"]:
            assert f"`{parameter['name']}`" in text
