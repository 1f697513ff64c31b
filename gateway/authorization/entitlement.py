"""The stage that asks whether the plan has the feature that a route requires.

It follows the guard: callers without the permission learn nothing of the plan.
"""

from collections.abc import Mapping
from typing import Protocol

from billing.plans.errors import EntitlementRequired
from gateway.request.context import RequestContext


class PlanFeatures(Protocol):
    """The part of a plan that is asked for."""

    @property
    def name(self) -> str: ...

    @property
    def features(self) -> Mapping[str, bool | int | str]: ...


class Plans(Protocol):
    """Looks up plans, as ``billing.plans`` does."""

    def plan(self, code: str) -> PlanFeatures: ...


class EntitlementStage:
    """Raises EntitlementRequired where the plan of the principal's tenant lacks ``Terms.feature``.

    A plan has a feature when it names it with a value that is neither false nor 0 nor empty.
    """

    def __init__(self, plans: Plans) -> None:
        self._plans = plans

    def __call__(self, request: RequestContext) -> None:
        route = request.route
        if route is None or route.terms.feature is None or request.principal is None:
            return
        feature, plan = route.terms.feature, self._plans.plan(request.principal.tenant.plan)
        if not plan.features.get(feature):
            request.log["missing_feature"] = feature
            raise EntitlementRequired(
                f"The plan {plan.name} does not include the feature {feature}. Upgrade the plan to use it."
            )
