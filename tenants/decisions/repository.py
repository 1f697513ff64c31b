"""SQL of the control table ``decision_counts``."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Date, cast, delete, func, select, text, tuple_

from tenants.database.sessions import ControlSession
from tenants.decisions.models import DAYS, DecisionCount
from tenants.identifiers import TenantId

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


class Totals(NamedTuple):
    """How many pairs of principal and permission have recorded decisions, and how many of them change."""

    pairs: int
    loses: int
    gains: int
    uncounted: int  # decisions that are recorded for nobody
    since: date


class Changes(NamedTuple):
    """What changes, as parameters of a query: array literals.

    ``changes`` has a text of bits for each principal: for each permission whether it is lost, then for each whether it
    is gained.
    """

    principals: str
    changes: str
    permissions: str
    size: int  # number of permissions


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


async def delete_old(session: ControlSession, most: int) -> int:
    """Delete rows without a decision of the last days, at most so many; how many they were."""
    key = tuple_(DecisionCount.tenant_id, DecisionCount.principal_id, DecisionCount.permission)
    oldest = cast(func.timezone("UTC", func.now()), Date) - (DAYS - 1)
    old = select(*key.clauses).where(DecisionCount.day < oldest).limit(most)
    return len((await session.scalars(delete(DecisionCount).where(key.in_(old)).returning(DecisionCount.day))).all())


def array(elements: Iterable[str]) -> str:
    """An array literal. Elements are not quoted here: numbers, ids, names of permissions in quotation marks.

    Takes 4 µs a row, where psycopg takes 31 µs for Python objects, whose types it inspects one by one.
    """
    return f"{{{','.join(elements)}}}"
