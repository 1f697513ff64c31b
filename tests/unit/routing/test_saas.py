"""What stops the start when a SaaS team's own endpoints cannot be served as they are declared."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import fastapi
import pytest
from fastapi import FastAPI, Response

from gateway.authorization.guards import requires, requires_principal
from gateway.request.route import Guard
from gateway.routing.api_router import APIRouter
from gateway.routing.routes import routes_of
from gateway.routing.saas import permissions_of_routes, routers_of
from gateway.routing.table import RouteTable
from gateway.routing.terms import terms
from tenants.resources.errors import DeclarationError
from tenants.resources.registry import Registry, registry_of
from tenants.roles.permissions import Grade, Permission

_RESOURCES = ("contacts", "deals")


def _endpoint(guard: Guard) -> Callable[..., Any]:
    @terms(guard)
    async def endpoint() -> Response:
        return Response()

    return endpoint


def _router(*endpoints: tuple[str, Guard]) -> APIRouter:
    """Each at a path of its own, by method and guard."""
    router = APIRouter()
    for number, (method, guard) in enumerate(endpoints):
        router.add_api_route(f"/v1/own/{number}", _endpoint(guard), methods=[method])
    return router


def _permissions(*endpoints: tuple[str, Guard]) -> tuple[Permission, ...]:
    return permissions_of_routes((_router(*endpoints),), _RESOURCES)


def test_a_new_permission_has_the_grade_that_its_method_implies() -> None:
    """AZ1: what reads is for all roles, what writes for those that write data."""
    assert _permissions(("GET", requires("deals:forecast")), ("POST", requires("deals:win"))) == (
        Permission("deals", "forecast", Grade.READ_DATA),
        Permission("deals", "win", Grade.WRITE_DATA),
    )


def test_an_endpoint_can_give_the_grade() -> None:
    """It prevails over what other endpoints imply, and introduces objects that are no resource."""
    managed = requires("reports:export", grade=Grade.MANAGE)
    found = _permissions(("GET", managed), ("POST", requires("reports:export")))
    assert found == (Permission("reports", "export", Grade.MANAGE),)


def test_known_permissions_are_not_new() -> None:
    """Endpoints can require those of resources and of management."""
    known = ("GET", requires("deals:read")), ("GET", requires("usage:read")), ("GET", requires_principal)
    assert _permissions(*known) == ()


@pytest.mark.parametrize(
    ("endpoints", "fault"),
    [
        ([("POST", requires("dels:win"))], "permission dels:win is of no resource"),
        ([("POST", requires("api_keys:export"))], "belongs to Tenantry's own management"),
        ([("GET", requires("deals:read", grade=Grade.MANAGE))], "exists with the grade read_data"),
        ([("GET", requires("deals:win")), ("POST", requires("deals:win"))], "several grades"),
        (
            [("POST", requires("deals:win", grade=Grade.MANAGE)), ("POST", requires("deals:win", grade="write_data"))],  # type: ignore[arg-type]
            "several grades",
        ),
    ],
)
def test_a_permission_that_is_probably_a_mistake_is_refused(endpoints: list[tuple[str, Guard]], fault: str) -> None:
    """AZ1: a misspelt permission would close the endpoint, or open it to the wrong roles."""
    with pytest.raises(DeclarationError, match=fault):
        _permissions(*endpoints)


def test_all_faults_are_reported_at_once() -> None:
    with pytest.raises(DeclarationError) as refused:
        _permissions(("POST", requires("dels:win")), ("POST", requires("contcts:merge")))
    assert len(refused.value.faults) == 2


@pytest.mark.parametrize("router", [fastapi.APIRouter(), FastAPI(), "router"])
def test_only_a_router_with_terms_is_accepted(router: object) -> None:
    """The message says what to use."""
    with pytest.raises(DeclarationError, match=r"tenantry\.APIRouter"):
        routers_of(Registry(routers=(router,)))


def test_routers_are_a_tuple() -> None:
    module = ModuleType("crm")
    module.ROUTERS = APIRouter()  # type: ignore[attr-defined]
    with pytest.raises(DeclarationError, match="ROUTERS must be a tuple of APIRouter"):
        registry_of(module)


def test_a_route_that_is_taken_is_refused() -> None:
    """Which of the two answers, and whose guard applies, would depend on their order."""
    app, own = FastAPI(openapi_url=None, docs_url=None, redoc_url=None), APIRouter()
    own.add_api_route("/v1/deals/{deal_id}", _endpoint(requires("deals:read")))
    taken = APIRouter()
    taken.add_api_route("/v1/deals/{id}", _endpoint(requires("deals:read")))
    for router in (taken, own):
        app.include_router(router)
    with pytest.raises(DeclarationError, match=r"/v1/deals/\{deal_id\}.*\n.*GET /v1/deals/\{id\} already answers"):
        RouteTable(routes_of(app))
