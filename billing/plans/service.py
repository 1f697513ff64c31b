"""Plans: list, read, create, change, seed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg.errors import UniqueViolation
from sqlalchemy.exc import IntegrityError

from billing.plans import repository
from billing.plans.catalogue import Catalogue
from billing.plans.errors import TooManyMembers
from billing.plans.plan import DEFAULT_RANK, MEMBERS, Plan, plan_of
from billing.plans.schemas import PlanChange, PlanSpec
from tenants.audit import operators
from tenants.audit.origin import Origin
from tenants.audit.service import State
from tenants.database.sessions import ControlSession
from tenants.errors import Conflict, NotFound, check_version, not_unique
from tenants.identifiers import TenantId


class PlanExists(Conflict):
    message = "A plan with this code already exists."
    errors = not_unique("code")


class PriceTaken(Conflict):
    message = "Another plan already uses this Stripe price."
    errors = not_unique("stripe_price_id")


class DefaultPlanRequired(Conflict):
    message = "Exactly one plan must have rank 0: the plan of tenants without a subscription."


class Plans:
    """Every call runs in the caller's transaction."""

    async def every(self, session: ControlSession) -> list[Plan]:
        """All plans, lowest rank first."""
        return [plan_of(row) for row in await repository.every(session)]

    async def read(self, session: ControlSession, code: str) -> Plan:
        """One plan. Raises NotFound."""
        row = await repository.find(session, code)
        if row is None:
            raise NotFound(detail="no such plan")
        return plan_of(row)

    async def check_members(self, session: ControlSession, tenant: TenantId, members: int) -> None:
        """Return when the plan of the tenant includes so many members. Raises TooManyMembers.

        Exact while the caller serialises changes of the tenant's members.
        """
        limit = (await repository.features_of(session, tenant)).get(MEMBERS)
        if limit is not None and members > limit:
            raise TooManyMembers

    async def create(self, session: ControlSession, spec: PlanSpec, *, origin: Origin) -> Plan:
        """Create a plan. Raises PlanExists, PriceTaken or DefaultPlanRequired."""
        with _prices_are_unique():
            added = await repository.insert_new(session, spec.model_dump(mode="json"))
        if not added:
            raise PlanExists
        _check_default(await repository.every(session))
        plan = await self.read(session, spec.code)
        await operators.record(session, origin, _CREATED, spec.code, after=_audited(plan))
        return plan

    async def change(
        self,
        session: ControlSession,
        code: str,
        change: PlanChange,
        versions: tuple[int, ...] | None = None,
        *,
        origin: Origin,
    ) -> Plan:
        """Change the members that were sent. Raises NotFound, PriceTaken, DefaultPlanRequired.

        Only at one of ``versions``, otherwise raises PreconditionFailed; None allows any version.
        """
        row = await repository.find(session, code, lock=True)
        if row is None:
            raise NotFound(detail="no such plan")
        check_version(row.version, versions)
        before = _audited(plan_of(row))
        sent: dict[str, Any] = change.model_dump(mode="json", include=change.model_fields_set)
        for name, value in sent.items():
            setattr(row, name, value)
        with _prices_are_unique():
            await session.flush()
        _check_default(await repository.every(session))
        await _record(session, origin, code, before, plan_of(row))
        return plan_of(row)

    async def seed(self, session: ControlSession, catalogue: Catalogue, *, origin: Origin) -> list[str]:
        """Write the plans and return the codes of those that are new or changed. Other plans stay.

        Raises PriceTaken when another plan has one of their prices.
        """
        plans = catalogue.plans
        before = {row.code: _audited(plan_of(row)) for row in await repository.every(session)}
        with _prices_are_unique():
            written = [(each.code, await repository.upsert(session, each.model_dump(mode="json"))) for each in plans]
        changed = [code for code, differs in written if differs]
        session.expire_all()
        for code in changed:
            await _record(session, origin, code, before.get(code), await self.read(session, code))
        return changed


_CREATED, _UPDATED = "plans.created", "plans.updated"


async def _record(session: ControlSession, origin: Origin, code: str, before: State | None, plan: Plan) -> None:
    after = _audited(plan)
    if before != after:
        action = _CREATED if before is None else _UPDATED
        await operators.record(session, origin, action, code, before=before, after=after)


def _audited(plan: Plan) -> State:
    """The plan as the operators' log shows it."""
    windows = [{"name": each.name, "quota": each.quota, "window_seconds": each.seconds} for each in plan.windows]
    shown = ("code", "name", "rank", "concurrency", "monthly_quota", "stripe_price_id")
    return {name: getattr(plan, name) for name in shown} | {"windows": windows, "features": dict(plan.features)}


@contextmanager
def _prices_are_unique() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        if isinstance(error.orig, UniqueViolation):
            raise PriceTaken from error
        raise


def _check_default(rows: Sequence[Any]) -> None:
    if sum(each.rank == DEFAULT_RANK for each in rows) != 1:
        raise DefaultPlanRequired
