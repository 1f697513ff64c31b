"""SQL of the control table ``decision_counts``, and of whose decisions they are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Date,
    Integer,
    Row,
    SQLColumnExpression,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    column,
    delete,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import BIT
from sqlalchemy.types import TypeEngine

from tenants.api_keys.models import ApiKey
from tenants.api_keys.recognised import RecognisedKey
from tenants.database.sessions import ControlSession
from tenants.decisions.models import DAYS, NO_PRINCIPAL, DecisionCount
from tenants.identifiers import TenantId, UserId
from tenants.members.models import Membership
from tenants.principal import TenantRef
from tenants.users.models import User


def _list_of(name: str, kind: TypeEngine[Any]) -> ColumnElement[Any]:
    """A parameter that is given as an array literal."""
    return sql_cast(bindparam(name, type_=Text()), ARRAY(kind))


_TODAY = "CAST(now() AT TIME ZONE 'UTC' AS date)"


def _moved(counts: str) -> str:
    """The counts of all days after an addition, whose day is then the first one.

    An addition of an earlier day than the row's is from a transaction that began before midnight: it counts today.
    """
    gap = f"array_fill(CAST(0 AS bigint), ARRAY[LEAST(excluded.day - counted.day, {DAYS}) - 1])"
    return (
        f"CASE WHEN excluded.day > counted.day"
        f" THEN (excluded.{counts} || {gap} || counted.{counts})[1:{DAYS}]"
        f" ELSE counted.{counts}[1] + excluded.{counts}[1] || counted.{counts}[2:{DAYS}] END"
    )


# The rows of the tenants are locked first, as a tenant's deletion does: in another order the two could deadlock. What
# belongs to a tenant that is gone is left out. Workers add in one order, so that they cannot deadlock either.
_ADD = text(
    "WITH known AS MATERIALIZED ("  # noqa: S608 - put together from constants of this file
    " SELECT id FROM tenantry.tenants WHERE id = ANY(CAST(CAST(:tenants AS text) AS uuid[])) ORDER BY id FOR KEY SHARE)"
    " INSERT INTO tenantry.decision_counts AS counted"
    " (tenant_id, principal_id, permission, day, allowed, denied, last_seen_at)"
    f" SELECT tenant_id, principal_id, permission, {_TODAY}, ARRAY[allowed], ARRAY[denied], now()"
    " FROM unnest(CAST(CAST(:tenants AS text) AS uuid[]), CAST(CAST(:principals AS text) AS uuid[]),"
    " CAST(CAST(:permissions AS text) AS text[]), CAST(CAST(:allowed AS text) AS bigint[]),"
    " CAST(CAST(:denied AS text) AS bigint[])) AS added (tenant_id, principal_id, permission, allowed, denied)"
    " JOIN known ON known.id = added.tenant_id ORDER BY tenant_id, principal_id, permission"
    " ON CONFLICT (tenant_id, principal_id, permission) DO UPDATE SET"
    f" day = GREATEST(counted.day, excluded.day), allowed = {_moved('allowed')}, denied = {_moved('denied')},"
    " last_seen_at = GREATEST(counted.last_seen_at, excluded.last_seen_at)"
)

_today = sql_cast(func.timezone("UTC", func.now()), Date)
_since = bindparam("since", type_=Date)
_judged = (
    func.unnest(_list_of("principals", Uuid()))
    .table_valued(column("principal_id", Uuid), name="judged")
    .render_derived()
)
_changed = (
    func.unnest(_list_of("affected", Uuid()), _list_of("bits", BIT(varying=True)))
    .table_valued(column("principal_id", Uuid), column("bits", BIT(varying=True)), name="changed")
    .render_derived()
)
_named = (
    func.unnest(_list_of("permissions", Text()))
    .table_valued(column("permission", Text), with_ordinality="number", name="named")
    .render_derived()
)
_is_recent = and_(DecisionCount.tenant_id == bindparam("tenant", type_=Uuid), DecisionCount.day >= _since)
# OFFSET keeps conditions on bits out of it: the planner, which cannot know how many bits are set, would expect hardly
# any row and look up each pair of a principal and a permission by the index (6 s for 10,000 principals).
_recent = (
    select(DecisionCount, _changed.c.bits, sql_cast(_named.c.number, Integer).label("number"))
    .join(_changed, _changed.c.principal_id == DecisionCount.principal_id)
    .join(_named, _named.c.permission == DecisionCount.permission)
    .where(_is_recent)
    .offset(literal_column("0"))
    .subquery("recent")
)


def _of_period(day: SQLColumnExpression[date], counts: SQLColumnExpression[list[int]]) -> ColumnElement[int]:
    """The sum of the period's counts. Their first day may be an earlier one than today."""
    days = (case((day - age >= _since, func.coalesce(counts[age + 1], 0)), else_=0) for age in range(DAYS))
    return sum(days, literal(0))


_UNCOUNTED = select(
    _of_period(DecisionCount.day, DecisionCount.allowed) + _of_period(DecisionCount.day, DecisionCount.denied)
).where(_is_recent, DecisionCount.principal_id == NO_PRINCIPAL)
# Joined, since the planner would look up each of IN by the index: the ids are distinct.
_PAIRS = (
    select(func.count())
    .select_from(DecisionCount)
    .join(_judged, _judged.c.principal_id == DecisionCount.principal_id)
    .where(_is_recent)
)
_allowed, _denied = (_of_period(_recent.c.day, counts) for counts in (_recent.c.allowed, _recent.c.denied))
_MOST_USED = (
    select(
        _recent.c.principal_id,
        _recent.c.permission,
        (_allowed + _denied).label("requests"),
        _denied,
        _recent.c.last_seen_at,
        func.count().over(),
    )
    .where(func.get_bit(_recent.c.bits, _recent.c.number - 1) == 1)
    .order_by(text("requests DESC"), _recent.c.principal_id, _recent.c.permission)
    .limit(bindparam("most", type_=Integer))
)
# What authentication reads of a key: the fields of RecognisedKey.
_KEY_COLUMNS = [getattr(ApiKey, each.name) for each in fields(RecognisedKey) if each.name != "tenant"]


class Counted(NamedTuple):
    """What is counted together."""

    tenant: TenantId
    principal: UUID
    permission: str


class Counts(NamedTuple):
    """Decisions by outcome."""

    allowed: int
    denied: int


class Use(NamedTuple):
    """The recorded decisions about one permission of one principal."""

    principal: UUID
    permission: str
    requests: int
    denied: int
    last_seen_at: datetime


class MostUsed(NamedTuple):
    """The most used of what changes, and how many pairs of a principal and a permission with decisions change."""

    uses: Sequence[Use]
    total: int


class Totals(NamedTuple):
    """How many pairs of a principal and a permission have recorded decisions."""

    pairs: int
    uncounted: int  # decisions that are recorded without their principal


class Period(NamedTuple):
    """Which decisions are considered: those since this day (UTC)."""

    since: date
    until: datetime


@dataclass(frozen=True, slots=True)
class Changed:
    """What principals lose, or what they gain, as array literals: the parameters of a query."""

    tenant: TenantId
    principals: str
    bits: str  # for each of them a text of bits: one for each of the permissions
    permissions: str


async def add(session: ControlSession, rows: Iterable[tuple[Counted, Counts]]) -> None:
    """Add decisions of today. No two rows may have the same key. A tenant that is gone loses its rows."""
    listed = list(rows)
    await session.execute(
        _ADD,
        {
            "tenants": array(counted.tenant.hex for counted, _ in listed),
            "principals": array(counted.principal.hex for counted, _ in listed),
            "permissions": array(f'"{counted.permission}"' for counted, _ in listed),
            "allowed": array(str(counts.allowed) for _, counts in listed),
            "denied": array(str(counts.denied) for _, counts in listed),
        },
    )


async def period(session: ControlSession) -> Period:
    """Today and the seven days before it."""
    return Period(*(await session.execute(select(_today - (DAYS - 1), func.now()))).one())


async def totals(session: ControlSession, tenant: TenantId, period: Period, principals: str) -> Totals:
    """How much was recorded for these principals, given as an array literal."""
    recent = {"tenant": tenant, "since": period.since}
    pairs = await session.scalar(_PAIRS, {"principals": principals, **recent})
    return Totals(pairs or 0, await session.scalar(_UNCOUNTED, recent) or 0)


async def most_used(session: ControlSession, changed: Changed, period: Period, most: int) -> MostUsed:
    """What is recorded of the permissions that these principals lose, or gain: the most requests first."""
    given = {
        "tenant": changed.tenant,
        "since": period.since,
        "affected": changed.principals,
        "bits": changed.bits,
        "permissions": changed.permissions,
        "most": most,
    }
    rows = (await session.execute(_MOST_USED, given)).all()
    return MostUsed([Use(*row[:-1]) for row in rows], rows[0][-1] if rows else 0)


async def page_of_people(
    session: ControlSession, tenant: TenantId, after: UUID, most: int
) -> Sequence[Row[UserId, list[str], list[str], bool, datetime]]:
    """People of this tenant with the next ids: roles by hand and of groups, whether they may sign in, since when."""
    query = (
        select(
            Membership.user_id,
            Membership.roles,
            Membership.group_roles,
            Membership.disabled_at.is_(None) & User.disabled_at.is_(None),
            Membership.created_at,
        )
        .join(User, User.id == Membership.user_id)
        .where(Membership.tenant_id == tenant, Membership.user_id > after)
    )
    return (await session.execute(query.order_by(Membership.user_id).limit(most))).all()


async def page_of_keys(session: ControlSession, tenant: TenantRef, after: UUID, most: int) -> list[RecognisedKey]:
    """Keys of this tenant with the next ids that have not ended by their own rows."""
    query = select(*_KEY_COLUMNS).where(
        ApiKey.tenant_id == tenant.id,
        ApiKey.id > after,
        ApiKey.revoked_at.is_(None),
        ApiKey.disabled_at.is_(None),
        or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now()),
    )
    rows = (await session.execute(query.order_by(ApiKey.id).limit(most))).all()
    return [RecognisedKey(tenant, *row) for row in rows]


async def delete_old(session: ControlSession, most: int) -> int:
    """Delete rows without a decision of the last days, at most so many; how many they were."""
    key = tuple_(DecisionCount.tenant_id, DecisionCount.principal_id, DecisionCount.permission)
    old = select(*key.clauses).where(DecisionCount.day <= _today - DAYS).limit(most)
    return len((await session.scalars(delete(DecisionCount).where(key.in_(old)).returning(DecisionCount.day))).all())


def array(elements: Iterable[str]) -> str:
    """An array literal. Elements are not quoted here: numbers, ids, names of permissions in quotation marks.

    Takes 4 µs a row, where psycopg takes 31 µs for Python objects, whose types it inspects one by one.
    """
    return f"{{{','.join(elements)}}}"
