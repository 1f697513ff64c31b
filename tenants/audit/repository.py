"""SQL of the audit log in the control schema: the rows that are written from there, and the ends of the chains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import orjson
from psycopg import errors
from sqlalchemy import ARRAY, BigInteger, Row, Uuid, column, func, literal, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import ProgrammingError

from tenants.audit.models import AuditCheckpoint
from tenants.audit.origin import Origin
from tenants.database.sessions import ControlSession
from tenants.errors import NotFound, Unavailable
from tenants.events.models import Category, EventCounter
from tenants.identifiers import TenantId, new_id

_MIGRATION_RETRY = 60  # seconds
_NOT_MIGRATED = (errors.UndefinedTable, errors.UndefinedColumn)
# The control role has no right on a tenant's tables: a function of the owner inserts the row (control revision 0017).
# One statement for any number of rows: a pipeline of single ones cannot be cancelled cleanly.
_RECORD = text(
    "SELECT tenantry.record_audit(:tenant, row.id, :category, :type, row.object_id, :actor_kind, :actor_id,"
    " :request_id, :source, :reason, row.before, row.after) FROM jsonb_to_recordset(CAST(CAST(:rows AS text) AS jsonb))"
    " AS row (id uuid, object_id uuid, before jsonb, after jsonb)"
)


@dataclass(frozen=True, slots=True)
class Change:
    """One object, as the API shows it before and after."""

    object_id: UUID
    before: Mapping[str, object] | None = None
    after: Mapping[str, object] | None = None


async def add(
    session: ControlSession,
    tenant: TenantId,
    origin: Origin,
    changes: Sequence[Change],
    *,
    category: Category,
    action: str,
) -> None:
    """Insert a row for each change. Raises NotFound for a tenant that is gone, Unavailable for one to be migrated."""
    values = {
        "tenant": tenant,
        "category": category.value,
        "type": action,
        "actor_kind": origin.actor.kind.value,
        "actor_id": origin.actor.id,
        "request_id": origin.request_id,
        "source": origin.source,
        "reason": origin.reason,
        "rows": orjson.dumps(
            [{"id": new_id(), "object_id": each.object_id, **_states(each)} for each in changes]
        ).decode(),
    }
    try:
        await session.execute(_RECORD, values)
    except ProgrammingError as error:
        if isinstance(error.orig, errors.InvalidSchemaName):
            raise NotFound(detail=f"tenant {tenant} has no schema") from error
        if not isinstance(error.orig, _NOT_MIGRATED):
            raise
        detail = f"tenant {tenant} must be migrated first: its audit log cannot be written"
        raise Unavailable(detail=detail, retry_after=_MIGRATION_RETRY) from error


async def end_of(session: ControlSession, tenant: TenantId) -> tuple[int, bytes | None]:
    """The sequence of the tenant's last event, 0 for none, and its hash, None while nothing is chained."""
    row = (
        await session.execute(
            select(EventCounter.last_sequence, EventCounter.last_hash).where(EventCounter.tenant_id == tenant)
        )
    ).first()
    return (0, None) if row is None else (row[0], row[1])


async def unsigned_ends(session: ControlSession, most: int) -> Sequence[Row[TenantId, int, bytes | None]]:
    """Tenant, sequence and hash of chains that have grown since their last checkpoint."""
    query = (
        select(EventCounter.tenant_id, EventCounter.last_sequence, EventCounter.last_hash)
        .outerjoin(AuditCheckpoint, AuditCheckpoint.tenant_id == EventCounter.tenant_id)
        .where(EventCounter.last_hash.is_not(None))
        .where(EventCounter.last_sequence > func.coalesce(AuditCheckpoint.sequence, 0))
        .order_by(EventCounter.tenant_id)
        .limit(most)
    )
    return (await session.execute(query)).all()


async def mark_signed(session: ControlSession, ends: Sequence[tuple[TenantId, int]]) -> None:
    """Remember that these ends have been written. A tenant that is gone meanwhile is left out."""
    given = (
        func.unnest(
            literal([each[0] for each in ends], ARRAY(Uuid)), literal([each[1] for each in ends], ARRAY(BigInteger))
        )
        .table_valued(column("tenant_id", Uuid), column("sequence", BigInteger))
        .render_derived()
    )
    there = select(EventCounter.tenant_id, given.c.sequence).join(given, given.c.tenant_id == EventCounter.tenant_id)
    added = insert(AuditCheckpoint).from_select(["tenant_id", "sequence"], there, include_defaults=False)
    changes = {"sequence": added.excluded.sequence, "written_at": func.now()}
    await session.execute(added.on_conflict_do_update(index_elements=[AuditCheckpoint.tenant_id], set_=changes))


async def unchained_tenants(session: ControlSession) -> Sequence[TenantId]:
    """Tenants whose events an older release has numbered, and none has chained."""
    query = select(EventCounter.tenant_id).where(EventCounter.last_hash.is_(None), EventCounter.last_sequence > 0)
    return (await session.scalars(query.order_by(EventCounter.tenant_id))).all()


def _states(change: Change) -> dict[str, Mapping[str, object]]:
    """Without those that there are not: a JSON null would be stored as one."""
    states = {"before": change.before, "after": change.after}
    return {name: state for name, state in states.items() if state is not None}
