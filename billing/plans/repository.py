"""SQL of the control table ``plans``."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from billing.plans.models import PlanRow
from tenants.database.sessions import ControlSession
from tenants.database.statements import Work, prepare
from tenants.directory.models import Tenant
from tenants.identifiers import TenantId


async def every(session: ControlSession) -> Sequence[PlanRow]:
    """All plans, lowest rank first."""
    return (await session.scalars(select(PlanRow).order_by(PlanRow.rank, PlanRow.code))).all()


_COLUMNS = tuple(PlanRow.__table__.c)  # all columns: a missing one would read as no limit
_EVERY = prepare(select(*_COLUMNS))


async def read_every(reads: Work) -> list[PlanRow]:
    """All plans, in one statement without a session."""
    names = [column.name for column in _COLUMNS]
    return [PlanRow(**dict(zip(names, row, strict=True))) for row in await reads.rows(_EVERY, {})]


async def find(session: ControlSession, code: str, *, lock: bool = False) -> PlanRow | None:
    """One plan; ``lock`` takes a row lock until the transaction ends."""
    query = select(PlanRow).where(PlanRow.code == code)
    return await session.scalar(query.with_for_update() if lock else query)


async def features_of(session: ControlSession, tenant: TenantId) -> dict[str, Any]:
    """The features of the plan that the tenant is on."""
    query = select(PlanRow.features).join(Tenant, Tenant.plan_code == PlanRow.code).where(Tenant.id == tenant)
    return await session.scalar(query) or {}


async def insert_new(session: ControlSession, values: dict[str, Any]) -> bool:
    """Insert a plan; False when its code is taken."""
    statement = insert(PlanRow).values(values).on_conflict_do_nothing(index_elements=[PlanRow.code])
    return await session.scalar(statement.returning(PlanRow.code)) is not None


async def upsert(session: ControlSession, values: dict[str, Any]) -> bool:
    """Insert or update the plan; True when that changed anything. Without a price, the stored price stays."""
    new = insert(PlanRow).values(values)
    columns = {name: new.excluded[name] for name in values if name not in {"code", "stripe_price_id"}}
    if values["stripe_price_id"] is not None:
        columns["stripe_price_id"] = new.excluded.stripe_price_id
    # An update without a difference would notify every worker for nothing.
    differs = func.row(*(getattr(PlanRow, name) for name in columns)).is_distinct_from(func.row(*columns.values()))
    statement = new.on_conflict_do_update(
        index_elements=[PlanRow.code], set_=columns | {"updated_at": func.now()}, where=differs
    )
    return await session.scalar(statement.returning(PlanRow.code)) is not None
