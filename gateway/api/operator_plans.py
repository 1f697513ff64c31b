"""``/operator/v1/plans``: what tenants can buy, as the SaaS's own staff make and change it."""

from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from billing.plans.plan import Plan
from billing.plans.schemas import PlanChange, PlanSpec
from gateway.api.answers import answered, created, read
from gateway.api.conditions import CHANGED, TAGGED
from gateway.api.pages import Page
from gateway.authorization.guards import requires_operator
from gateway.request.entity_tags import Tagged, representation_of
from gateway.routing.strict_route import StrictRoute
from gateway.services import services_of

_PATH = "/operator/v1/plans"
_ONE = f"{_PATH}/{{code}}"


class WindowShown(BaseModel):
    """At most ``quota`` requests in any ``window_seconds`` seconds."""

    name: str
    quota: int
    window_seconds: int


class PlanShown(BaseModel):
    """A plan. Of two that a tenant is entitled to the higher rank wins; rank 0 is the plan of who bought nothing."""

    code: str
    name: str
    rank: int
    windows: list[WindowShown]
    concurrency: int | None
    monthly_quota: int | None
    features: dict[str, Any]
    stripe_price_id: str | None

    @classmethod
    def of(cls, plan: Plan) -> "PlanShown":
        """The plan as it is shown."""
        windows = [WindowShown(name=each.name, quota=each.quota, window_seconds=each.seconds) for each in plan.windows]
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


_REPRESENTATION = representation_of(PlanShown)

router = APIRouter(route_class=StrictRoute, tags=["operator: plans"])


@router.post(_PATH, status_code=201, response_model=PlanShown, dependencies=[Depends(requires_operator)])
async def create_plan(request: Request, wanted: PlanSpec) -> Response:
    """Make a plan; tenants can be moved to it, and its Stripe price buys it."""
    services = services_of(request)
    async with services.database.control() as session:
        plan = await services.features.plans.create(session, wanted)
    tag = services.tags.of(_tagged(plan.code), plan.version)
    return created(PlanShown.of(plan), f"{_PATH}/{plan.code}", tag)


@router.get(_PATH, response_model=Page[PlanShown], dependencies=[Depends(requires_operator)])
async def list_plans(request: Request) -> Response:
    """Every plan, the lowest rank first. A SaaS has few: they are one page."""
    features = services_of(request).features
    async with features.database.control() as session:
        plans = await features.plans.every(session)
    return answered(Page(data=[PlanShown.of(each) for each in plans], has_more=False, next_cursor=None))


@router.get(_ONE, response_model=PlanShown, dependencies=[Depends(requires_operator)], **TAGGED)
async def read_plan(request: Request, code: str) -> Response:
    """One plan."""
    features = services_of(request).features
    async with features.database.control() as session:
        plan = await features.plans.read(session, code)
    return read(request, PlanShown.of(plan), _tagged(code), plan.version)


@router.patch(_ONE, response_model=PlanShown, dependencies=[Depends(requires_operator)], **CHANGED)
async def change_plan(request: Request, code: str, wanted: PlanChange) -> Response:
    """Change what is given; in force on every worker within a second."""
    services = services_of(request)
    expected = services.tags.expected(_tagged(code), request.scope)
    async with services.database.control() as session:
        plan = await services.features.plans.change(session, code, wanted, expected)
    return answered(PlanShown.of(plan), services.tags.of(_tagged(code), plan.version))


def _tagged(code: str) -> Tagged:
    return Tagged(_REPRESENTATION, code.encode())
