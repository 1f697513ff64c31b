"""``/operator/v1/plans``: the plans that tenants can buy, managed by operators."""

from typing import Annotated, Any

from fastapi import Path, Request, Response
from pydantic import BaseModel, Field

from billing.plans.plan import Plan
from billing.plans.schemas import PlanChange, PlanSpec
from billing.plans.service import DefaultPlanRequired, PlanExists, PriceTaken
from gateway.api.answers import answered, created, read
from gateway.api.pages import Page, complete_page
from gateway.authorization.guards import requires_operator, requires_operator_read
from gateway.request.entity_tags import Tagged, representation_of
from gateway.request.origin import origin_of
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import services_of

_PATH = "/operator/v1/plans"
_ONE = f"{_PATH}/{{code}}"


class WindowResponse(BaseModel):
    """At most ``quota`` requests in any ``window_seconds`` seconds."""

    name: Annotated[str, Field(examples=["sustained"])]
    quota: Annotated[int, Field(examples=[120])]
    window_seconds: Annotated[int, Field(examples=[60])]


class PlanResponse(BaseModel):
    """A plan. A tenant with several entitlements gets the plan of the highest rank; rank 0 is the default plan."""

    code: Annotated[str, Field(examples=["pro"])]
    name: Annotated[str, Field(examples=["Pro"])]
    rank: int
    windows: list[WindowResponse]
    concurrency: Annotated[int | None, Field(examples=[20])]
    monthly_quota: Annotated[int | None, Field(examples=[1_000_000])]
    features: Annotated[dict[str, Any], Field(examples=[{"exports": True, "members": 10}])]
    stripe_price_id: Annotated[str | None, Field(examples=["price_pro"])]

    @classmethod
    def of(cls, plan: Plan) -> "PlanResponse":
        """The response for this plan."""
        windows = [
            WindowResponse(name=each.name, quota=each.quota, window_seconds=each.seconds) for each in plan.windows
        ]
        return cls(
            code=plan.code,
            name=plan.name,
            rank=plan.rank,
            windows=windows,
            concurrency=plan.concurrency,
            monthly_quota=plan.monthly_quota,
            features=dict(plan.features),
            stripe_price_id=plan.stripe_price_id,
        )


_REPRESENTATION = representation_of(PlanResponse)

PlanInPath = Annotated[str, Path(description="The code of the plan.", examples=["pro"])]

router = ManagementRouter(tags=["plans"])


@router.post(_PATH, status_code=201, response_model=PlanResponse)
@terms(requires_operator, tagged=True, errors=(PlanExists, PriceTaken, DefaultPlanRequired))
async def create_plan(request: Request, body: PlanSpec) -> Response:
    """Create a plan. Tenants can be moved to it, or buy it by its Stripe price."""
    services = services_of(request)
    async with services.database.control() as session:
        plan = await services.features.plans.create(session, body, origin=origin_of(request))
    tag = services.tags.of(_tagged(plan.code), plan.version)
    return created(PlanResponse.of(plan), f"{_PATH}/{plan.code}", tag)


@router.get(_PATH, response_model=Page[PlanResponse])
@terms(requires_operator_read)
async def list_plans(request: Request) -> Response:
    """List all plans. They are one page, lowest rank first."""
    features = services_of(request).features
    async with features.database.control() as session:
        plans = await features.plans.every(session)
    return answered(complete_page(plans, PlanResponse.of))


@router.get(_ONE, response_model=PlanResponse)
@terms(requires_operator_read, tagged=True)
async def read_plan(request: Request, code: PlanInPath) -> Response:
    """Read one plan."""
    features = services_of(request).features
    async with features.database.control() as session:
        plan = await features.plans.read(session, code)
    return read(request, PlanResponse.of(plan), _tagged(code), plan.version)


@router.patch(_ONE, response_model=PlanResponse)
@terms(requires_operator, tagged=True, errors=(PriceTaken, DefaultPlanRequired), ends_rights=True)
async def update_plan(request: Request, code: PlanInPath, body: PlanChange) -> Response:
    """Update a plan. Members that are not sent stay. The change is in force on every worker when it is answered."""
    services = services_of(request)
    expected = services.tags.expected(_tagged(code), request.scope)
    async with services.database.control() as session:
        plan = await services.features.plans.change(session, code, body, expected, origin=origin_of(request))
    return answered(PlanResponse.of(plan), services.tags.of(_tagged(code), plan.version))


def _tagged(code: str) -> Tagged:
    return Tagged(_REPRESENTATION, code.encode())
