"""SQL of audit in the control schema: rows that are written from there, the ends of chains, the operators' log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from psycopg import errors
from sqlalchemy import ARRAY, BigInteger, Row, Text, Uuid, cast, column, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import ProgrammingError

from tenants.audit.chain import OPERATORS_HASHED
from tenants.audit.models import AuditCheckpoint, OperatorEvent, OperatorEventChain
from tenants.audit.origin import Origin
from tenants.database.keyset import Keyset
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
    rows = [{"id": new_id(), "object_id": each.object_id, **_states(each)} for each in changes]
    values = _values(origin) | {
        "tenant": tenant,
        "category": category.value,
        "type": action,
        "rows": orjson.dumps(rows).decode(),
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


def _values(origin: Origin) -> dict[str, object]:
    return {
        "actor_kind": origin.actor.kind.value,
        "actor_id": origin.actor.id,
        "request_id": origin.request_id,
        "source": origin.source,
        "reason": origin.reason,
    }


def _document(state: Mapping[str, object] | None) -> str | None:
    return None if state is None else orjson.dumps(state).decode()


# The operators' log

_RECORD_OPERATOR = text(
    "SELECT tenantry.record_operator_event(:id, :action, :object, :actor_kind, :actor_id, :request_id, :source,"
    " :reason, CAST(CAST(:before AS text) AS jsonb), CAST(CAST(:after AS text) AS jsonb))"
)
_MICROSECONDS = func.extract("epoch", OperatorEvent.created_at) * 1_000_000
_TEXTS = {
    **{name: cast(getattr(OperatorEvent, name), Text) for name in OPERATORS_HASHED},
    "created_at": cast(cast(_MICROSECONDS, BigInteger), Text),
}


@dataclass(frozen=True, slots=True)
class OperatorEventFilter:
    """Which events to read; None is any."""

    action: str | None = None
    object: str | None = None
    actor_kind: str | None = None
    actor_id: UUID | None = None
    since: datetime | None = None  # created at this time or later ...
    until: datetime | None = None  # ... and before this one


async def add_operator_event(
    session: ControlSession,
    origin: Origin,
    *,
    action: str,
    object_id: str,
    before: Mapping[str, object] | None,
    after: Mapping[str, object] | None,
) -> None:
    """Insert and chain the row. Others that do wait for the end of this transaction."""
    states = {"before": _document(before), "after": _document(after)}
    values = _values(origin) | states | {"id": new_id(), "action": action, "object": object_id}
    await session.execute(_RECORD_OPERATOR, values)


async def operator_events(
    session: ControlSession, selected: OperatorEventFilter, keyset: Keyset
) -> Sequence[OperatorEvent]:
    """A page of events."""
    equal = {
        OperatorEvent.action: selected.action,
        OperatorEvent.object: selected.object,
        OperatorEvent.actor_kind: selected.actor_kind,
        OperatorEvent.actor_id: selected.actor_id,
    }
    query = select(OperatorEvent).where(*(column == value for column, value in equal.items() if value is not None))
    if selected.since is not None:
        query = query.where(OperatorEvent.created_at >= selected.since)
    if selected.until is not None:
        query = query.where(OperatorEvent.created_at < selected.until)
    return (await session.scalars(keyset.of(query, OperatorEvent.id))).all()


async def operator_event(session: ControlSession, event: UUID) -> OperatorEvent | None:
    """One event."""
    return await session.get(OperatorEvent, event)


async def hashed_operator_events(session: ControlSession, after: int, rows: int) -> Sequence[Sequence[Any]]:
    """Sequence, hash, and the texts that the hash covers (``tenants/audit/chain.py``), by sequence."""
    texts = (_TEXTS[name] for name in OPERATORS_HASHED)
    query = select(OperatorEvent.sequence, OperatorEvent.hash, *texts).where(OperatorEvent.sequence > after)
    return (await session.execute(query.order_by(OperatorEvent.sequence).limit(rows))).all()


async def end_of_operators(session: ControlSession) -> tuple[int, bytes, int]:
    """The sequence of the last event, 0 for none, its hash, and the sequence that was signed last."""
    chain = await session.scalar(select(OperatorEventChain))
    if chain is None:  # deleted by somebody with the owner's rights
        return 0, b"", 0
    return chain.last_sequence, chain.last_hash, chain.signed_sequence


async def mark_operators_signed(session: ControlSession, sequence: int) -> None:
    """Remember that this end has been written."""
    await session.execute(update(OperatorEventChain).values(signed_sequence=sequence))
