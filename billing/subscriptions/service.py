"""Applies the subscriptions of a Stripe customer to the plan of its tenant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.exc import IntegrityError

from billing.payments.port import BoughtSubscription
from billing.plans import repository as plans_repository
from billing.plans.plan import DEFAULT_RANK, Plan, plan_of
from billing.subscriptions import repository
from billing.subscriptions.entitlement import Ended, Holding, chosen_item, entitlement
from billing.subscriptions.models import Subscription
from tenants.audit import service as audit
from tenants.audit.origin import Origin
from tenants.database.sessions import ControlSession
from tenants.directory.models import Tenant
from tenants.errors import Conflict, not_unique
from tenants.identifiers import TenantId

# The fields that matter to us; a difference in one of them means that an event was lost.
_COMPARED = (
    "status", "stripe_price_id", "plan_code", "current_period_start", "current_period_end", "cancel_at_period_end",
)  # fmt: skip

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All subscriptions of one customer at Stripe. ``read_at`` is when the read began."""

    customer: str
    subscriptions: tuple[BoughtSubscription, ...]
    read_at: datetime  # by the database's clock


class CustomerTaken(Conflict):
    message = "Another tenant already has this Stripe customer."
    errors = not_unique("stripe_customer")


class CustomerLinked(Conflict):
    message = "The tenant already has another Stripe customer."


class Subscriptions:
    """Every call runs in the caller's transaction."""

    async def link_customer(self, session: ControlSession, tenant: TenantId, customer: str, *, origin: Origin) -> None:
        """Assign the Stripe customer to this tenant for good (SI8). Raises CustomerTaken, CustomerLinked."""
        try:
            linked = await repository.set_customer(session, tenant, customer)
        except IntegrityError as error:
            raise CustomerTaken from error
        if not linked:
            raise CustomerLinked(detail="no such tenant, or it has another customer")
        await audit.record(
            session, tenant, origin, "tenant.customer_linked", tenant, after={"stripe_customer": customer}
        )

    async def apply(self, session: ControlSession, snapshot: Snapshot, *, origin: Origin) -> TenantId | None:
        """Update subscriptions and plan of the customer's tenant. None when no tenant has the customer.

        Idempotent. Snapshots can arrive in any order: one that began before the last applied one is dropped, since
        every change that it missed has an event, and therefore a later snapshot (SI4).
        """
        tenant = await repository.owner_of(session, snapshot.customer, lock=True)
        if tenant is None:
            return None
        known = await repository.of_tenant(session, tenant.id)
        if any(each.read_at > snapshot.read_at for each in known):
            return tenant.id
        plans = [plan_of(row) for row in await plans_repository.every(session)]
        ranks = {plan.code: plan.rank for plan in plans}
        before = entitlement((Holding(each.status, each.plan_code) for each in known), ranks)
        rows = [_row(tenant.id, each, plans, snapshot.read_at) for each in snapshot.subscriptions]
        after = entitlement((Holding(row["status"], row["plan_code"]) for row in _after(known, rows)), ranks)
        for row in rows:
            await repository.write(session, row)
        await repository.end_missing(session, tenant.id, [row["stripe_id"] for row in rows], snapshot.read_at)
        # The plan follows changes at Stripe only: a plan set by an operator stays until then.
        if after != before and after is not None:
            await _move(session, tenant, _default(plans) if isinstance(after, Ended) else after, origin)
        return tenant.id


async def _move(session: ControlSession, tenant: Tenant, plan: str, origin: Origin) -> None:
    """Move the tenant to this plan, which may be its own."""
    before, after = {"plan": tenant.plan_code}, {"plan": plan}
    if await repository.set_plan(session, tenant.id, plan):
        await audit.record(session, tenant.id, origin, "tenant.plan_changed", tenant.id, before=before, after=after)


def differs(known: Sequence[Subscription], current: Sequence[BoughtSubscription], plans: list[Plan]) -> bool:
    """Whether the uncanceled subscriptions at Stripe differ from those last applied: an event was lost (SI7)."""
    stored = {each.stripe_id: _facts(vars(each)) for each in known if each.status != "canceled"}
    read = {each.id: _facts(_values(each, plans)) for each in current}
    return stored != read


def _facts(values: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(values[name] for name in _COMPARED)


def _after(known: Sequence[Subscription], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The subscriptions after this snapshot: the rows just read, and those that Stripe no longer has as canceled."""
    present = {row["stripe_id"] for row in rows}
    missing = [each for each in known if each.stripe_id not in present]
    return [*rows, *({"status": "canceled", "plan_code": each.plan_code} for each in missing)]


def _row(tenant: TenantId, bought: BoughtSubscription, plans: list[Plan], read_at: datetime) -> dict[str, Any]:
    values = _values(bought, plans)
    if values["plan_code"] is None:
        _log.warning("subscription_without_plan", subscription=bought.id, price=values["stripe_price_id"])
    return {"stripe_id": bought.id, "tenant_id": tenant, "read_at": read_at, **values}


def _values(bought: BoughtSubscription, plans: list[Plan]) -> dict[str, Any]:
    item, plan = chosen_item(bought, plans)
    return {
        "status": bought.status,
        "stripe_price_id": item and item.price,
        "plan_code": plan and plan.code,
        "current_period_start": item and item.period_start,
        "current_period_end": item and item.period_end,
        "cancel_at_period_end": bought.cancel_at_period_end,
    }


def _default(plans: list[Plan]) -> str:
    return next(plan.code for plan in plans if plan.rank == DEFAULT_RANK)
