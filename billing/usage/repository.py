"""SQL of the control tables ``usage_minutes`` and ``usage_batches``."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    DateTime,
    Select,
    SmallInteger,
    Text,
    Uuid,
    bindparam,
    cast,
    func,
    literal,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.types import TypeEngine

from billing.usage.models import UsageBatch, UsageMinute
from billing.usage.query import Group, UsageQuery
from tenants.database.base import ControlModel
from tenants.database.names import CONTROL_SCHEMA
from tenants.database.sessions import ControlSession

_TABLE = ControlModel.metadata.tables[f"{CONTROL_SCHEMA}.{UsageMinute.__tablename__}"]
_COLUMNS: dict[str, TypeEngine[Any]] = {
    "tenant_id": Uuid(),
    "minute": DateTime(timezone=True),
    "principal_id": Uuid(),
    "route": Text(),
    "status_class": SmallInteger(),
    "kind": Text(),
    "requests": BigInteger(),
    "cost": BigInteger(),
}
_GROUPED: dict[Group, InstrumentedAttribute[Any]] = {
    Group.KEY: UsageMinute.principal_id,
    Group.ROUTE: UsageMinute.route,
    Group.STATUS: UsageMinute.status_class,
}


class UsageTotal(NamedTuple):
    """One row of a usage query. ``value`` is what the bucket is grouped by; ``kind`` distinguishes keys from users."""

    start: datetime
    value: UUID | str | int | None
    kind: str
    requests: int
    cost: int


def _addition() -> Any:
    # One array per column: one statement with eight parameters for any number of rows.
    arrays = (cast(bindparam(name, type_=Text()), ARRAY(kind)) for name, kind in _COLUMNS.items())
    rows = func.unnest(*arrays).table_valued(*_COLUMNS, name="added").render_derived()
    new = insert(_TABLE).from_select(list(_COLUMNS), select(*rows.c))
    key = list(_TABLE.primary_key)
    more = {name: _TABLE.c[name] + new.excluded[name] for name in ("requests", "cost")}
    return new.on_conflict_do_update(index_elements=key, set_=more)


_ADDITION = _addition()


async def insert_batch(session: ControlSession, journal: UUID, sequence: int) -> bool:
    """Record the batch; False when it was added before. Waits for a concurrent insert of the same batch."""
    new = insert(UsageBatch).values(journal_id=journal, sequence=sequence).on_conflict_do_nothing()
    return await session.scalar(new.returning(UsageBatch.sequence)) is not None


async def add(session: ControlSession, columns: Mapping[str, str]) -> None:
    """Add counts, given as array literals by column name. No two rows may have the same key."""
    await session.execute(_ADDITION, columns)


async def totals(session: ControlSession, query: UsageQuery) -> list[UsageTotal]:
    """The rows of a query, ordered by bucket, then by group value."""
    return [UsageTotal(*row) for row in (await session.execute(_totals(query))).all()]


def _totals(usage: UsageQuery) -> Select[Any]:
    # Rendered into the statement: as bound parameters GROUP BY would not match the expression.
    unit = literal(usage.period.granularity.value, literal_execute=True)
    bucket = func.date_trunc(unit, UsageMinute.minute, literal("UTC", literal_execute=True))
    column = _GROUPED.get(usage.group)
    keys = [bucket] if column is None else [bucket, column]
    value = literal(None) if column is None else column
    requests, cost = (cast(func.sum(each), BigInteger) for each in (UsageMinute.requests, UsageMinute.cost))
    statement = select(bucket, value, func.min(UsageMinute.kind), requests, cost).where(*_conditions(usage))
    if usage.after is not None and column is not None:
        after = tuple_(literal(usage.after.start), literal(usage.after.value))
        statement = statement.where(tuple_(*keys) > after)
    return statement.group_by(*keys).order_by(*keys).limit(usage.count)


def _conditions(query: UsageQuery) -> list[ColumnElement[bool]]:
    period, after, since = query.period, query.after, query.period.since
    if after is not None:  # the bucket can continue with its next group value
        since = max(since, after.start if query.group is not Group.NONE else after.start + period.step)
    found = [UsageMinute.tenant_id == query.tenant, UsageMinute.minute >= since, UsageMinute.minute < period.until]
    if query.principal is not None:
        found.append(UsageMinute.principal_id == query.principal)
    if query.route is not None:
        found.append(UsageMinute.route == query.route)
    return found
