"""The data endpoints behave as their OpenAPI document says, for input that it allows and that it forbids."""

from typing import Any

import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode

from gateway.data.router import data_router
from gateway.openapi.document import Describer
from gateway.openapi.editions import TENANTS
from gateway.request.entity_tags import EntityTags
from tenants.crud.pages import Cursors
from tenants.resources.registry import load_registry
from tests.fixtures.gateways import BASE_URL, RESOURCES, Gateway

pytestmark = pytest.mark.anyio

load_all_checks()
_CHECKS: list[Any] = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
    ]
)
# What a schema cannot express: a signed cursor, a reference to an existing object, words that are not blank.
_BEYOND_SCHEMA = {"/query/cursor", "/query/q", "/contact_id"}
_NUL = "bad_character"  # in a query; the HTTP server, which this gateway is tested without, refuses it earlier
_TRIES = settings(
    max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def _data_document() -> dict[str, Any]:
    registry, app = load_registry(RESOURCES), FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.include_router(data_router(registry, Cursors(bytes(32)), EntityTags(bytes(32))))
    return Describer(app.routes, registry, BASE_URL).describe(TENANTS)


# Made here and not by a fixture: hypothesis draws outside of the event loop, where no gateway runs.
_DOCUMENT = _data_document()
_OPERATIONS = [
    each.ok() for each in schemathesis.openapi.from_dict(_DOCUMENT).get_all_operations() if isinstance(each, Ok)
]
_ALLOWED = st.sampled_from(_OPERATIONS).flatmap(lambda each: each.as_strategy(GenerationMode.POSITIVE))
_FORBIDDEN = st.sampled_from(_OPERATIONS).flatmap(lambda each: each.as_strategy(GenerationMode.NEGATIVE))


async def test_the_document_is_served_and_is_openapi(shared_gateway: Gateway) -> None:
    """Valid by the specification's own JSON Schema, and the document that the tests below use."""
    document = (await shared_gateway.client.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    schemathesis.openapi.from_dict(document).validate()
    assert {path: document["paths"][path] for path in _DOCUMENT["paths"]} == _DOCUMENT["paths"]


def test_every_verb_documents_its_permission_and_its_parameters() -> None:
    """AZ1: an integrator reads which permission a key needs, and which filters exist."""
    paths = _DOCUMENT["paths"]
    permissions = {
        (method, path): item["x-permission"] for path, each in paths.items() for method, item in each.items()
    }
    assert permissions["get", "/v1/contacts"] == permissions["get", "/v1/contacts/{id}"] == "contacts:read"
    assert permissions["post", "/v1/deals"] == "deals:create"
    assert permissions["patch", "/v1/deals/{id}"] == "deals:update"
    assert permissions["delete", "/v1/deals/{id}"] == "deals:delete"
    parameters = {each["name"]: each for each in paths["/v1/contacts"]["get"]["parameters"]}
    assert {"limit", "cursor", "sort", "q", "stage", "stage[in]", "value_cents[gte]", "email[is_null]"} <= set(
        parameters
    )
    assert parameters["limit"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 25}
    assert "-created_at" in parameters["sort"]["schema"]["enum"]
    assert all(each["description"] for each in parameters.values())


async def _answer(gateway: Gateway, case: Case[Any]) -> httpx.Response:
    request = case.as_transport_kwargs(BASE_URL, headers=gateway.acme.key("owner"))
    request.pop("cookies", None)
    request["headers"] = {name: value.encode("latin-1", "replace") for name, value in request["headers"].items()}
    if isinstance(request.get("data"), bytes):  # what httpx calls content
        request["content"] = request.pop("data")
    answer: httpx.Response = await gateway.client.request(**request)
    case.validate_response(answer, checks=_CHECKS)
    return answer


@_TRIES
@given(case=_ALLOWED)
async def test_input_that_the_document_allows_is_accepted(shared_gateway: Gateway, case: Case[Any]) -> None:
    """Every documented filter, sort, field and value works, and responses match the document."""
    answer = await _answer(shared_gateway, case)
    if answer.status_code == 422:
        refused = {error["pointer"] for error in answer.json()["errors"] if error["code"] != _NUL}
        assert refused <= _BEYOND_SCHEMA, answer.text


@_TRIES
@given(case=_FORBIDDEN)
async def test_input_that_the_document_forbids_is_refused(shared_gateway: Gateway, case: Case[Any]) -> None:
    """DA1: always with a 4xx, never with a 5xx."""
    await _answer(shared_gateway, case)
