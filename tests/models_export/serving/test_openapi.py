"""The OpenAPI description, and requests that schemathesis makes up from it."""

import json

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]


MADE_UP = settings(
    max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


def test_made_up_requests_get_the_answers_that_are_described(app):
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) == 11
    for operation in operations:

        @MADE_UP
        @given(case=operation.as_strategy())
        def ask(case):
            case.call_and_validate(checks=CHECKS)

        ask()


def test_real_answers_are_as_described(app):
    document = TestClient(app).get("/openapi.json").json()
    assert json.dumps(document).count("$ref") > 20
    assert "/v1/models/{model}/versions/{version}:predict" in document["paths"]
