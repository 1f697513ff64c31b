"""SQL of a tenant's events: the part of a change's own statement that records it, the call that chains them, reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    DateTime,
    Integer,
    Text,
    Uuid,
    bindparam,
    cast,
    func,
    insert,
    literal,
    literal_column,
    null,
    select,
    text,
)

from tenants.database.sessions import ControlSession
from tenants.database.statements import Prepared, Row, Work, prepare
from tenants.events.models import UNCHAINED, Event
from tenants.identifiers import TenantId, new_id
from tenants.principal import Actor

_ID, _ACTOR_KIND, _ACTOR_ID = "event_id", "event_actor_kind", "event_actor_id"
_REQUEST, _SOURCE, _REASON = "event_request_id", "event_source", "event_reason"
_NUMBER = text("SELECT tenantry.number_events(:tenant, :most)")
_BATCH_BYTES = 1_048_576  # of the states in one batch of a stream, beside its first event


class ChangeKind(StrEnum):
    """The second part of an event's type, such as ``contacts.created``."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"


def recorded(resource: str, kind: ChangeKind, *, before: CTE | None, after: CTE | None) -> CTE:
    """The INSERT of a change's event, for the ``WITH`` of the change's own statement: one event for each changed row.

    ``before`` and ``after`` are the parts of that statement which return the row, ``id`` among its columns.
    """
    source = after if after is not None else before
    if source is None:
        raise ValueError("an event needs the row before or after the change")
    columns: dict[str, ColumnElement[Any]] = {
        "id": bindparam(_ID, type_=Uuid()),
        "type": literal(f"{resource}.{kind}", Text()),
        "object_id": source.c.id,
        "actor_kind": bindparam(_ACTOR_KIND, type_=Text()),
        "actor_id": bindparam(_ACTOR_ID, type_=Uuid()),
        "before": _document(before),
        "after": _document(after),
        "request_id": bindparam(_REQUEST, type_=Text()),
        "source": bindparam(_SOURCE, type_=Text()),
        "reason": bindparam(_REASON, type_=Text()),
    }
    rows = select(*columns.values()).select_from(source)
    if before is not None and after is not None:
        rows = rows.join(before, before.c.id == after.c.id)
    return insert(Event).from_select(list(columns), rows, include_defaults=False).cte("event")


def event_values(actor: Actor, request_id: str | None, source: str | None, reason: str | None) -> Mapping[str, object]:
    """The values of ``recorded``'s own parameters."""
    origin = {_REQUEST: request_id, _SOURCE: source, _REASON: reason}
    return {_ID: new_id(), _ACTOR_KIND: actor.kind.value, _ACTOR_ID: actor.id, **origin}


async def number(session: ControlSession, tenant: TenantId, most: int) -> int:
    """Number and chain up to ``most`` committed events of the tenant, oldest first; how many there were.

    Serialised for each tenant by its counter's row. Nothing to do for a tenant that is gone.
    """
    numbered: int = (await session.execute(_NUMBER, {"tenant": tenant, "most": most})).scalar_one()
    return numbered


def _document(row: CTE | None) -> ColumnElement[Any]:
    return null() if row is None else func.to_jsonb(row.table_valued())


# Reads, in the tenant's own schema


class StoredEvent(NamedTuple):
    """An event as stored. ``before`` and ``after`` are JSON texts, which keep every digit of a number."""

    id: UUID
    sequence: int | None
    category: str
    type: str
    object_id: UUID
    actor_kind: str
    actor_id: UUID | None
    request_id: str | None
    source: str | None
    reason: str | None
    before: str | None
    after: str | None
    created_at: datetime
    hash: bytes | None


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events to read; None is any."""

    type: str | None = None
    category: str | None = None
    object_id: UUID | None = None
    actor_kind: str | None = None
    actor_id: UUID | None = None
    since: datetime | None = None  # created at this time or later ...
    until: datetime | None = None  # ... and before this one
    first: UUID | None = None  # bounds of the ids, which sort by time: they limit what is read of the index
    last: UUID | None = None

    def given(self) -> dict[str, object]:
        """The filters that are set, by name."""
        return {name: value for name in _CONDITIONS if (value := getattr(self, name)) is not None}


_CONDITIONS: Mapping[str, ColumnElement[bool]] = {
    "type": Event.type == bindparam("type", type_=Text()),
    "category": Event.category == bindparam("category", type_=Text()),
    "object_id": Event.object_id == bindparam("object_id", type_=Uuid()),
    "actor_kind": Event.actor_kind == bindparam("actor_kind", type_=Text()),
    "actor_id": Event.actor_id == bindparam("actor_id", type_=Uuid()),
    "since": Event.created_at >= bindparam("since", type_=DateTime(timezone=True)),
    "until": Event.created_at < bindparam("until", type_=DateTime(timezone=True)),
    "first": Event.id >= bindparam("first", type_=Uuid()),
    "last": Event.id <= bindparam("last", type_=Uuid()),
}
_AFTER = bindparam("after_id", type_=Uuid())
_ROWS = bindparam("rows", type_=Integer())
_COLUMNS: tuple[ColumnElement[Any], ...] = tuple(
    cast(Event.__table__.c[name], Text()).label(name) if name in {"before", "after"} else Event.__table__.c[name]
    for name in StoredEvent._fields
)


async def page(
    work: Work, selected: EventFilter, rows: int, after: UUID | None, *, descending: bool = True
) -> list[StoredEvent]:
    """At most so many events by id, beyond the one that ended the page before."""
    given = selected.given()
    statement = _page(tuple(given), after is not None, descending)
    return _stored(await work.rows(statement, {**given, "after_id": after, "rows": rows}))


async def batch(work: Work, selected: EventFilter, rows: int, after: UUID | None) -> list[StoredEvent]:
    """As ``page``, ascending, and cut where the states are more than a megabyte; empty at the end."""
    given = selected.given()
    statement = _batch(tuple(given), after is not None)
    return _stored(await work.rows(statement, {**given, "after_id": after, "rows": rows}))


async def find(work: Work, event: UUID) -> StoredEvent | None:
    """One event."""
    found = _stored(await work.rows(_FIND, {"id": event}))
    return found[0] if found else None


async def hashed(work: Work, after: int, rows: int) -> list[Row]:
    """Sequence, hash, and the texts that the hash covers (``tenants/audit/chain.py``), by sequence."""
    return await work.rows(_HASHED, {"after": after, "rows": rows})


async def unchained(work: Work) -> tuple[int, datetime | None, int]:
    """How many events have no hash yet, when the oldest of them was made, and how many have a hash and no sequence."""
    ((count, oldest, odd),) = await work.rows(_UNCHAINED, {})
    return count, oldest, odd


def _stored(rows: Sequence[Row]) -> list[StoredEvent]:
    return [StoredEvent(*row[: len(_COLUMNS)]) for row in rows]


@lru_cache(256)
def _page(names: tuple[str, ...], after: bool, descending: bool) -> Prepared:  # noqa: FBT001 - cached
    conditions = [_CONDITIONS[name] for name in names]
    if after:
        conditions.append(Event.id < _AFTER if descending else Event.id > _AFTER)
    order = Event.id.desc() if descending else Event.id.asc()
    return prepare(select(*_COLUMNS).where(*conditions).order_by(order).limit(_ROWS))


@lru_cache(256)
def _batch(names: tuple[str, ...], after: bool) -> Prepared:  # noqa: FBT001 - cached
    conditions = [*(_CONDITIONS[name] for name in names), *([Event.id > _AFTER] if after else [])]
    rows = select(*_COLUMNS).where(*conditions).order_by(Event.id).limit(_ROWS).subquery("rows")
    size = func.coalesce(func.length(rows.c.before), 0) + func.coalesce(func.length(rows.c.after), 0)
    sized = select(*rows.c, (func.sum(size).over(order_by=rows.c.id) - size).label("earlier")).subquery("sized")
    return prepare(select(*sized.c).where(sized.c.earlier < _BATCH_BYTES).order_by(sized.c.id))


_FIND = prepare(select(*_COLUMNS).where(Event.id == bindparam("id", type_=Uuid())))
_HASHED = prepare(
    select(
        Event.sequence,
        Event.hash,
        cast(Event.id, Text),
        Event.category,
        Event.type,
        cast(Event.object_id, Text),
        Event.actor_kind,
        cast(Event.actor_id, Text),
        Event.request_id,
        Event.source,
        Event.reason,
        cast(Event.before, Text),
        cast(Event.after, Text),
        cast(literal_column("(extract(epoch FROM created_at) * 1000000)::bigint"), Text),
    )
    .where(Event.sequence > bindparam("after", type_=BigInteger()))
    .order_by(Event.sequence)
    .limit(_ROWS)
)
_UNCHAINED = prepare(
    select(
        func.count().filter(Event.hash.is_(None)),
        func.min(Event.created_at).filter(Event.hash.is_(None)),
        func.count().filter(Event.hash.is_not(None)),
    ).where(literal_column(f"({UNCHAINED})"))
)
