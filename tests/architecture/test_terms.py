"""Terms that cannot be applied stop the start: they are checked where they are declared."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.responses import Response

from gateway.authorization.guards import public, requires
from gateway.request.route import MOST_VALUES
from gateway.routing.api_router import APIRouter
from gateway.routing.terms import terms
from tenants.resources.errors import DeclarationError


def _own() -> Callable[..., Any]:
    async def endpoint() -> Response:
        return Response()

    return endpoint


def test_terms_are_checked_where_they_are_declared() -> None:
    """A mistake names itself at start."""
    with pytest.raises(TypeError, match="takes a guard first"):
        terms("deals:read")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="is not a permission"):
        requires("deals.read")
    with pytest.raises(ValueError, match="declares its terms twice"):
        terms(public)(terms(public)(_own()))
    with pytest.raises(ValueError, match="body_limit"):
        terms(public, body_limit=0)
    for values in (0, MOST_VALUES + 1):
        with pytest.raises(ValueError, match="value_limit"):
            terms(public, value_limit=values)


@pytest.mark.parametrize("cost", [0, -1, 1024, 1.5, True, "5"])
def test_a_cost_that_cannot_be_counted_is_refused(cost: int) -> None:
    """Else the route would be free, or break the journal of usage."""
    with pytest.raises(ValueError, match="from 1 to 1023"):
        terms(public, cost=cost)


class _Lax(BaseModel):
    name: str


async def _takes_lax_body(body: _Lax) -> Response:
    return Response(body.name)


def test_a_body_model_that_ignores_unknown_fields_is_refused() -> None:
    """AZ7: no endpoint overlooks a misspelt field."""
    with pytest.raises(DeclarationError, match="_Lax would ignore unknown fields"):
        APIRouter().add_api_route("/lax", terms(public)(_takes_lax_body), methods=["POST"])
