"""``feature`` of terms: at endpoints of the SaaS team as on proxied routes (tests/contract/test_proxied_routes.py)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from billing.plans.errors import EntitlementRequired
from gateway.authorization.entitlement import EntitlementStage
from gateway.authorization.guards import public, requires, requires_operator, requires_principal
from gateway.openapi.errors import error_responses
from gateway.request.context import RequestContext
from gateway.request.route import Guard, Route
from gateway.routing.terms import terms, terms_of
from tests.asgi import http_scope, request_context, respond_ok
from tests.fixtures.principals import principal_of_key


@dataclass
class Plan:
    name: str = "Pro"
    features: dict[str, bool | int | str] = field(default_factory=dict)


@dataclass
class OnePlan:
    current: Plan

    def plan(self, code: str) -> Plan:
        assert code == "pro"
        return self.current


@terms(requires("contacts:read"), feature="exports")
async def export() -> None: ...


def _request() -> RequestContext:
    request = request_context(http_scope())
    request.route = Route("GET", "/v1/exports", terms_of("/v1/exports", export), respond_ok)
    return request


@pytest.mark.parametrize(
    ("value", "included"), [(True, True), (7, True), ("csv", True), (False, False), (0, False), ("", False)]
)
def test_an_endpoint_requires_a_feature_of_the_plan(value: bool | int | str, included: bool) -> None:  # noqa: FBT001
    """Present, and neither false nor 0 nor empty."""
    stage, request = EntitlementStage(OnePlan(Plan(features={"exports": value}))), _request()
    request.principal = principal_of_key()
    if included:
        stage(request)
        return
    with pytest.raises(EntitlementRequired, match="The plan Pro does not include the feature exports"):
        stage(request)
    assert request.log["missing_feature"] == "exports"


def test_without_the_feature_nothing_is_asked() -> None:
    """The guard has refused a request without a principal; others name no feature."""
    stage, request = EntitlementStage(OnePlan(Plan())), _request()
    stage(request)
    request.principal, request.route = principal_of_key(), None
    stage(request)


@pytest.mark.parametrize("guard", [public, requires_operator])
def test_a_feature_needs_a_tenant(guard: Guard) -> None:
    """AZ1: terms that could never be applied are refused when they are declared."""
    with pytest.raises(ValueError, match="feature is one of a tenant's plan"):
        terms(guard, feature="exports")


def test_the_document_names_the_refusal() -> None:
    """403 entitlement_required where it can occur."""
    for feature, named in (("exports", True), (None, False)):
        declared = terms(requires_principal, feature=feature)
        listed = error_responses(terms_of("/x", declared(_endpoint())), "get", in_path=False, body=False)
        assert ("entitlement_required" in listed["403"]["description"]) is named


def _endpoint() -> Callable[[], Awaitable[None]]:
    async def endpoint() -> None: ...

    return endpoint
