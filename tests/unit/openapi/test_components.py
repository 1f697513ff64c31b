"""The names of schemas do not depend on what else has the same name."""

from typing import Any

from fastapi import FastAPI, Response
from pydantic import BaseModel

from gateway.api import auth
from gateway.authorization.guards import requires_principal
from gateway.openapi.components import PROBLEM_NAME, shorten_names
from gateway.openapi.document import Describer
from gateway.openapi.editions import TENANTS
from gateway.routing.api_router import APIRouter
from gateway.routing.terms import terms
from tenants.resources.registry import Registry


class Grant(BaseModel):
    """The SaaS's own: it manages research grants."""

    amount_cents: int


class ProblemDetails(BaseModel):
    """The SaaS's own."""

    severity: int


own = APIRouter()


@own.get("/v1/grants/largest")
@terms(requires_principal)
async def read_largest_grant() -> Grant:
    """Read the largest grant."""
    return Grant(amount_cents=1)


@own.get("/v1/grants/problem", response_model=ProblemDetails)
@terms(requires_principal)
async def read_worst_problem() -> Response:
    """Read the worst problem."""
    return Response()


def _described() -> dict[str, Any]:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    for router in (own, auth.router):
        app.include_router(router)
    return Describer(app.routes, Registry(), "https://api.example.com").describe(TENANTS)


def _schema_of(document: dict[str, Any], method: str, path: str) -> Any:
    reference = document["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    return document["components"]["schemas"][reference.rpartition("/")[2]]


def test_models_of_the_saas_and_of_tenantry_do_not_mix() -> None:
    """Each operation refers to its own model, and that of the SaaS has the plain name."""
    document = _described()
    schemas = document["components"]["schemas"]
    assert schemas["Grant"]["properties"].keys() == {"amount_cents"}
    assert _schema_of(document, "get", "/v1/grants/largest") is schemas["Grant"]
    assert "access_token" in _schema_of(document, "post", "/v1/auth/refresh")["properties"]
    assert "code" in schemas[PROBLEM_NAME]["properties"]
    assert "severity" in _schema_of(document, "get", "/v1/grants/problem")["properties"]


def test_pages_are_named_after_their_items() -> None:
    names = ("Page_ApiKeyResponse_", "Page_Thing_", "Pagelet")
    document: dict[str, Any] = {
        "components": {"schemas": {name: {} for name in names}},
        "paths": [{"$ref": f"#/components/schemas/{name}"} for name in names],
    }
    shorten_names(document)
    assert list(document["components"]["schemas"]) == ["ApiKeyPage", "ThingPage", "Pagelet"]
    assert [each["$ref"].rpartition("/")[2] for each in document["paths"]] == ["ApiKeyPage", "ThingPage", "Pagelet"]
