"""SQL of the change events: the part of a change's own statement that records it, and the call that numbers them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import CTE, ColumnElement, Text, Uuid, bindparam, func, insert, literal, null, select, text

from tenants.database.sessions import ControlSession
from tenants.events.models import Event
from tenants.identifiers import TenantId, new_id
from tenants.principal import Actor

_ID, _ACTOR_KIND, _ACTOR_ID = "event_id", "event_actor_kind", "event_actor_id"
_NUMBER = text("SELECT tenantry.number_events(:tenant, :most)")


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
    }
    rows = select(*columns.values()).select_from(source)
    if before is not None and after is not None:
        rows = rows.join(before, before.c.id == after.c.id)
    return insert(Event).from_select(list(columns), rows, include_defaults=False).cte("event")


def event_values(actor: Actor) -> Mapping[str, object]:
    """The values of ``recorded``'s own parameters."""
    return {_ID: new_id(), _ACTOR_KIND: actor.kind.value, _ACTOR_ID: actor.id}


async def number(session: ControlSession, tenant: TenantId, most: int) -> int:
    """Number up to ``most`` committed events of the tenant, oldest first; how many there were.

    Serialised for each tenant by its counter's row. Nothing to do for a tenant that is gone.
    """
    numbered: int = (await session.execute(_NUMBER, {"tenant": tenant, "most": most})).scalar_one()
    return numbered


def _document(row: CTE | None) -> ColumnElement[Any]:
    return null() if row is None else func.to_jsonb(row.table_valued())
