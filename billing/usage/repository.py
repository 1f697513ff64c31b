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
from billing.usage.question import Group, Question
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


class Summed(NamedTuple):
    """One row of an answer. ``value`` is what the bucket was divided by; ``kind`` tells a key from a user."""

    start: datetime
    value: UUID | str | int | None
    kind: str
    requests: int
    cost: int


def _addition() -> Any:
    # One array for each column: one statement and eight parameters, however many rows.
    arrays = (cast(bindparam(name, type_=Text()), ARRAY(kind)) for name, kind in _COLUMNS.items())
    rows = func.unnest(*arrays).table_valued(*_COLUMNS, name="added").render_derived()
    new = insert(_TABLE).from_select(list(_COLUMNS), select(*rows.c))
    key = list(_TABLE.primary_key)
    more = {name: _TABLE.c[name] + new.excluded[name] for name in ("requests", "cost")}
    return new.on_conflict_do_update(index_elements=key, set_=more)


_ADDITION = _addition()


async def insert_batch(session: ControlSession, journal: UUID, sequence: int) -> bool:
    """Note that the batch is being added; False when it was before. Waits for one that is just being written."""
    new = insert(UsageBatch).values(journal_id=journal, sequence=sequence).on_conflict_do_nothing()
    return await session.scalar(new.returning(UsageBatch.sequence)) is not None


async def add(session: ControlSession, columns: Mapping[str, str]) -> None:
    """Add to what is there: array literals, by the names of the columns. No two rows may have the same key."""
    await session.execute(_ADDITION, columns)


async def summed(session: ControlSession, question: Question) -> list[Summed]:
    """Rows of the answer, the earliest bucket first, then by what it is divided by."""
    return [Summed(*row) for row in (await session.execute(_sums(question))).all()]


def _sums(question: Question) -> Select[Any]:
    # Written into the statement, not passed: else GROUP BY would not know the expression again.
    unit = literal(question.period.granularity.value, literal_execute=True)
    bucket = func.date_trunc(unit, UsageMinute.minute, literal("UTC", literal_execute=True))
    column = _GROUPED.get(question.group)
    keys = [bucket] if column is None else [bucket, column]
    value = literal(None) if column is None else column
    requests, cost = (cast(func.sum(each), BigInteger) for each in (UsageMinute.requests, UsageMinute.cost))
    query = select(bucket, value, func.min(UsageMinute.kind), requests, cost).where(*_conditions(question))
    if question.after is not None and column is not None:
        query = query.where(tuple_(*keys) > tuple_(literal(question.after.start), literal(question.after.value)))
    return query.group_by(*keys).order_by(*keys).limit(question.count)


def _conditions(question: Question) -> list[ColumnElement[bool]]:
    period, after, since = question.period, question.after, question.period.since
    if after is not None:  # the same bucket may go on with its next value
        since = max(since, after.start if question.group is not Group.NONE else after.start + period.step)
    found = [UsageMinute.tenant_id == question.tenant, UsageMinute.minute >= since, UsageMinute.minute < period.until]
    if question.principal is not None:
        found.append(UsageMinute.principal_id == question.principal)
    if question.route is not None:
        found.append(UsageMinute.route == question.route)
    return found
