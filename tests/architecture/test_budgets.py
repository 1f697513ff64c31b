"""What each route is charged to: the plan, management, or the source of the request (TH10, TH11)."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.responses import Response

from gateway.api.routers import ROUTERS
from gateway.authorization.guards import public, requires
from gateway.request.route import Budget, ErrorFormat, Quota, Route
from gateway.routing.api_router import APIRouter, ManagementRouter
from gateway.routing.routes import api_routes, routes_of
from gateway.routing.terms import terms
from tests.fixtures.unconnected import unconnected_api, unconnected_services

_OWN = {"/v1/contacts/stats", "/v1/deals/{id}/win"}  # of the example's endpoints


@pytest.fixture(scope="module")
def routes() -> list[Route]:
    return list(routes_of(unconnected_api(unconnected_services())))


def _app_of(router: APIRouter) -> FastAPI:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.include_router(router)
    return app


def _endpoint() -> Callable[..., Any]:
    async def endpoint() -> Response:
        return Response()

    return endpoint


def test_management_is_never_charged_to_the_plan(routes: list[Route]) -> None:
    """TH10: every route of Tenantry's own API; data and the SaaS team's own endpoints are what a plan is for."""
    own = {template for template, route in _by_template(routes) if route.terms.budget is Budget.PLAN}
    assert own == {"/v1/contacts", "/v1/contacts/{id}", "/v1/deals", "/v1/deals/{id}", *_OWN}
    for router in ROUTERS:
        for _, route in api_routes(router.routes):
            usual = (Budget.MANAGEMENT, ErrorFormat.PROBLEM)
            expected = (Budget.SCIM, ErrorFormat.SCIM) if route.path.startswith("/scim/") else usual
            if route.path == "/v1/auth/token":
                expected = (Budget.MANAGEMENT, ErrorFormat.OAUTH)
            declared = (route.terms.budget, route.terms.error_format)
            assert declared == expected, f"{route.path}: register it on a ManagementRouter"


def test_a_router_of_the_plan_is_told_from_one_of_management() -> None:
    """TH10: the rule above finds a route that was registered on the wrong one."""
    for router, budget in ((APIRouter(), Budget.PLAN), (ManagementRouter(), Budget.MANAGEMENT)):
        router.add_api_route("/inner", terms(requires("api_keys:read"))(_endpoint()))
        outer = APIRouter(prefix="/outer")
        outer.include_router(router)
        (route,) = routes_of(_app_of(outer))
        assert route.terms.budget is budget


def test_only_a_public_route_is_limited_by_source() -> None:
    """TH10: others are limited by tenant and principal, whatever address they come from."""
    with pytest.raises(ValueError, match="per_source limits public routes"):
        terms(requires("contacts:read"), per_source=Quota(1, 1))


def test_routes_that_check_secrets_are_limited_by_source(routes: list[Route]) -> None:
    """TH11: sign-in is open to everybody, and so are signed reports of leaked keys."""
    limited = {template for template, route in _by_template(routes) if route.terms.per_source is not None}
    everybodys = {template for template, route in _by_template(routes) if route.terms.guard == public}
    assert limited == {each for each in everybodys if each.startswith("/v1/auth/")} | {"/operator/v1/leaked-keys"}


def _by_template(routes: list[Route]) -> list[tuple[str, Route]]:
    return [(route.template, route) for route in routes]
