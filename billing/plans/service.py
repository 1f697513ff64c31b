"""Plans for operators: listed, read, made and changed. Every call runs in the caller's transaction."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.exc import IntegrityError

from billing.plans import repository
from billing.plans.plan import DEFAULT_RANK, Plan, plan_of
from billing.plans.schemas import PlanChange, PlanSpec
from tenants.database.sessions import ControlSession
from tenants.errors import Conflict, NotFound, check_version


class PlanExists(Conflict):
    message = "There is a plan of this code already."


class PriceTaken(Conflict):
    message = "Another plan has this Stripe price."


class DefaultPlanIsOne(Conflict):
    message = "Exactly one plan has rank 0: the one of tenants that have bought nothing."


async def every(session: ControlSession) -> list[Plan]:
    """Every plan, the lowest rank first."""
    return [plan_of(row) for row in await repository.every(session)]


async def read(session: ControlSession, code: str) -> Plan:
    """One plan. Raises NotFound."""
    row = await repository.find(session, code)
    if row is None:
        raise NotFound(detail="no such plan")
    return plan_of(row)


async def create(session: ControlSession, spec: PlanSpec) -> Plan:
    """Make a plan. Raises PlanExists, PriceTaken or DefaultPlanIsOne."""
    try:
        if not await repository.insert_new(session, spec.model_dump(mode="json")):
            raise PlanExists
    except IntegrityError as error:
        raise PriceTaken from error
    _check_default(await repository.every(session))
    return await read(session, spec.code)


async def change(
    session: ControlSession, code: str, wanted: PlanChange, versions: tuple[int, ...] | None = None
) -> Plan:
    """Change what is given. Raises NotFound, PriceTaken, DefaultPlanIsOne.

    Only when the plan is at one of ``versions``, else PreconditionFailed; None is any.
    """
    row = await repository.find(session, code, lock=True)
    if row is None:
        raise NotFound(detail="no such plan")
    check_version(row.version, versions)
    sent: dict[str, Any] = wanted.model_dump(mode="json", include=wanted.model_fields_set)
    for name, value in sent.items():
        setattr(row, name, value)
    try:
        await session.flush()
    except IntegrityError as error:
        raise PriceTaken from error
    _check_default(await repository.every(session))
    return plan_of(row)


def _check_default(rows: Sequence[Any]) -> None:
    if sum(each.rank == DEFAULT_RANK for each in rows) != 1:
        raise DefaultPlanIsOne
