"""What stops the start because generated clients could not name their functions."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI, Response

from gateway.authorization.guards import public, requires, requires_operator
from gateway.openapi.operation_ids import check_operation_ids, operation_id_of
from gateway.request.route import Guard
from gateway.routing.api_router import APIRouter
from gateway.routing.routes import api_routes
from gateway.routing.terms import terms
from tenants.resources.errors import DeclarationError


def _endpoint(name: str, guard: Guard = public) -> Callable[..., Any]:
    async def endpoint() -> Response:
        return Response()

    endpoint.__name__ = name
    return terms(guard)(endpoint)


def _app(router: APIRouter) -> FastAPI:
    """The router, included as a deployment includes it."""
    app, outer = FastAPI(openapi_url=None, docs_url=None, redoc_url=None), APIRouter(prefix="/v1")
    outer.include_router(router)
    app.include_router(outer)
    return app


def _ids(router: APIRouter) -> list[str]:
    return [operation_id_of(context) for context, _ in api_routes(_app(router).routes)]


def test_the_id_is_the_functions_name_or_what_the_router_says() -> None:
    """Neither the path nor the method is part of it."""
    router = APIRouter()
    router.add_api_route("/deals/{id}/win", _endpoint("win_deal"), methods=["POST"])
    router.add_api_route("/deals/{id}/lose", _endpoint("lose"), methods=["POST"], operation_id="lose_deal")
    assert _ids(router) == ["win_deal", "lose_deal"]


def test_two_operations_with_one_id_are_refused() -> None:
    router = APIRouter()
    router.add_api_route("/deals/export", _endpoint("export"))
    router.add_api_route("/contacts/export", _endpoint("export"))
    with pytest.raises(
        DeclarationError, match=r"GET /v1/deals/export and GET /v1/contacts/export have the same .*export"
    ):
        check_operation_ids(_app(router).routes)


def test_one_function_for_two_methods_is_refused() -> None:
    """Each needs a name of its own."""
    router = APIRouter()
    router.add_api_route("/deals/export", _endpoint("export"), methods=["GET", "POST"])
    with pytest.raises(
        DeclarationError, match=r"GET /v1/deals/export and POST /v1/deals/export.*one function for each"
    ):
        check_operation_ids(_app(router).routes)


@pytest.mark.parametrize("name", ["<lambda>", "win-deal", "1st", "näme"])
def test_an_id_that_is_no_name_is_refused(name: str) -> None:
    router = APIRouter()
    router.add_api_route("/deals", _endpoint(name))
    with pytest.raises(DeclarationError, match="give it one of letters"):
        check_operation_ids(_app(router).routes)


def test_ids_are_compared_within_one_document() -> None:
    """A SaaS may have a resource ``plans``, although operators list plans too; hidden routes have no id."""
    router = APIRouter()
    router.add_api_route("/plans", _endpoint("list_plans", requires("plans:read")))
    router.add_api_route("/operator/v1/plans", _endpoint("list_plans", requires_operator))
    router.add_api_route("/page", _endpoint("list_plans"), include_in_schema=False)
    check_operation_ids(_app(router).routes)
