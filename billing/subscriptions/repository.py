"""SQL of the control table ``subscriptions`` and of the plan of a tenant."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from billing.subscriptions.models import Subscription
from tenants.database.sessions import ControlSession
from tenants.directory.models import Tenant
from tenants.identifiers import TenantId


async def owner_of(session: ControlSession, customer: str, *, lock: bool = False) -> Tenant | None:
    """The tenant of this Stripe customer: the only mapping from Stripe to a tenant (SI8)."""
    query = select(Tenant).where(Tenant.stripe_customer_id == customer)
    return await session.scalar(query.with_for_update() if lock else query)


async def set_customer(session: ControlSession, tenant: TenantId, customer: str) -> bool:
    """Set the tenant's customer once; False when it has another. Raises IntegrityError when another tenant has it."""
    given = update(Tenant).where(
        Tenant.id == tenant, or_(Tenant.stripe_customer_id.is_(None), Tenant.stripe_customer_id == customer)
    )
    return await session.scalar(given.values(stripe_customer_id=customer).returning(Tenant.id)) is not None


async def clock(session: ControlSession) -> datetime:
    """The database's current time, the same clock for all workers."""
    now: datetime = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    return now


async def of_tenant(session: ControlSession, tenant: TenantId) -> Sequence[Subscription]:
    """The tenant's subscriptions as last applied."""
    return (await session.scalars(select(Subscription).where(Subscription.tenant_id == tenant))).all()


async def with_customers(session: ControlSession) -> Sequence[tuple[Subscription, str]]:
    """All subscriptions as last applied, each with its customer."""
    query = select(Subscription, Tenant.stripe_customer_id).join(Tenant, Tenant.id == Subscription.tenant_id)
    rows = await session.execute(query.where(Tenant.stripe_customer_id.is_not(None)))
    return [(row[0], str(row[1])) for row in rows]


async def customers(session: ControlSession) -> set[str]:
    """All Stripe customers that belong to a tenant."""
    query = select(Tenant.stripe_customer_id).where(Tenant.stripe_customer_id.is_not(None))
    return {each for each in await session.scalars(query) if each is not None}


async def write(session: ControlSession, values: dict[str, Any]) -> None:
    """Insert or update one subscription. It never moves to another tenant."""
    statement = insert(Subscription).values(values)
    written = {name: statement.excluded[name] for name in values if name not in {"stripe_id", "tenant_id"}}
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[Subscription.stripe_id],
            set_=written,
            where=Subscription.tenant_id == statement.excluded.tenant_id,
        )
    )


async def end_missing(session: ControlSession, tenant: TenantId, present: Sequence[str], read_at: datetime) -> None:
    """Mark subscriptions that Stripe no longer has as canceled."""
    missing = update(Subscription).where(
        Subscription.tenant_id == tenant, Subscription.stripe_id.not_in(present), Subscription.status != "canceled"
    )
    await session.execute(missing.values(status="canceled", read_at=read_at))


async def set_plan(session: ControlSession, tenant: TenantId, plan: str) -> bool:
    """Set the tenant's plan; whether it was another one. The trigger notifies every worker at commit."""
    changed = update(Tenant).where(Tenant.id == tenant, Tenant.plan_code != plan).values(plan_code=plan)
    return await session.scalar(changed.returning(Tenant.id)) is not None
