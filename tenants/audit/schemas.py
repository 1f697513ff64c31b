"""How the audit log is shown: one event as JSON, and as a line of CSV."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from pydantic import BaseModel, Field

from tenants.audit.models import OperatorEvent
from tenants.events.models import Category
from tenants.events.repository import StoredEvent
from tenants.identifiers import (
    API_KEY,
    EVENT,
    OPERATOR_KEY,
    REQUEST,
    ROLE,
    SCIM_GROUP,
    TENANT,
    USER,
    WORKLOAD_RULE,
    example_of,
    read,
    show,
)
from tenants.principal import ActorKind

_ACTORS: Mapping[str, str] = {
    ActorKind.API_KEY: API_KEY,
    ActorKind.USER: USER,
    ActorKind.OPERATOR: OPERATOR_KEY,
    ActorKind.WORKLOAD: WORKLOAD_RULE,
}
# First part of an action: type of the ids of its objects. Those of declared resources come from the registry.
_OBJECTS: Mapping[str, str] = {
    "api_keys": API_KEY,
    "members": USER,
    "roles": ROLE,
    "scim_groups": SCIM_GROUP,
    "scim_settings": TENANT,
    "scim_users": USER,
    "sign_in": USER,
    "tenant": TENANT,
    "users": USER,
    "workload_rules": WORKLOAD_RULE,
}
COLUMNS = (
    *("id", "sequence", "created_at", "category", "action", "object", "actor_kind", "actor_id"),
    *("request_id", "source", "reason", "before", "after", "hash"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a cell that begins so is a formula to a spreadsheet


class AuditActor(BaseModel):
    """Who caused an event."""

    kind: Annotated[ActorKind, Field(examples=["user"])]
    id: Annotated[
        str | None,
        Field(description="Of a key, a person, an operator key or a workload rule.", examples=[example_of(USER)]),
    ]


class OperatorActor(BaseModel):
    """Who caused a change of the deployment."""

    kind: Annotated[ActorKind, Field(examples=["operator"])]
    id: Annotated[str | None, Field(description="Of the operator key.", examples=[example_of(OPERATOR_KEY)])]


class AuditEventResponse(BaseModel):
    """One event of the audit log."""

    id: Annotated[str, Field(examples=[example_of(EVENT)])]
    sequence: Annotated[
        int | None,
        Field(description="Its place in the chain; null for about a second, until it is chained.", examples=[1042]),
    ]
    created_at: datetime
    category: Annotated[Category, Field(description="What it is about.", examples=["management"])]
    action: Annotated[str, Field(examples=["api_keys.revoked"])]
    object: Annotated[str, Field(description="The id of the object.", examples=[example_of(API_KEY)])]
    actor: AuditActor
    request_id: Annotated[
        str | None,
        Field(description="The request that caused it, or Stripe's event.", examples=[example_of(REQUEST)]),
    ]
    source: Annotated[str | None, Field(description="Address of the caller.", examples=["203.0.113.7"])]
    reason: Annotated[str | None, Field(description="As the actor gave it.", examples=[None])]
    before: Annotated[
        dict[str, Any] | None, Field(description="The object before the change.", examples=[{"revoked_at": None}])
    ]
    after: Annotated[
        dict[str, Any] | None,
        Field(description="The object after the change.", examples=[{"revoked_at": "2026-01-31T12:00:00Z"}]),
    ]
    hash: Annotated[
        str | None,
        Field(
            description="SHA-256 over the event and the hash before it, in hexadecimal digits.",
            examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
        ),
    ]


class OperatorEventResponse(BaseModel):
    """One event of the operators' log."""

    id: Annotated[str, Field(examples=[example_of(EVENT)])]
    sequence: Annotated[int, Field(description="Its place in the chain.", examples=[17])]
    created_at: datetime
    action: Annotated[str, Field(examples=["operator_keys.revoked"])]
    object: Annotated[
        str, Field(description="The id of the object, or the code of the plan.", examples=[example_of(OPERATOR_KEY)])
    ]
    actor: OperatorActor
    request_id: Annotated[str | None, Field(description="The request that caused it.", examples=[example_of(REQUEST)])]
    source: Annotated[str | None, Field(description="Address of the caller.", examples=["203.0.113.7"])]
    reason: Annotated[str | None, Field(description="As the actor gave it.", examples=[None])]
    before: Annotated[dict[str, Any] | None, Field(examples=[{"name": "on-call", "revoked_at": None}])]
    after: Annotated[dict[str, Any] | None, Field(examples=[{"name": "on-call", "revoked_at": "2026-01-31T12:00:00Z"}])]
    hash: Annotated[
        str,
        Field(
            description="SHA-256 over the event and the hash before it, in hexadecimal digits.",
            examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
        ),
    ]

    @classmethod
    def of(cls, event: OperatorEvent) -> "OperatorEventResponse":
        """Convert a row."""
        plain = ("sequence", "created_at", "action", "object", "request_id", "source", "reason", "before", "after")
        actor = OperatorActor(
            kind=ActorKind(event.actor_kind),
            id=None if event.actor_id is None else show(OPERATOR_KEY, event.actor_id),
        )
        values = {name: getattr(event, name) for name in plain}
        return cls(id=show(EVENT, event.id), actor=actor, hash=event.hash.hex(), **values)


ExportFormat = Literal["jsonl", "csv"]


class Renderer:
    """Shows events. ``prefixes`` are the types of ids by the names of the declared resources."""

    def __init__(self, prefixes: Mapping[str, str]) -> None:
        self._prefixes = prefixes

    def json(self, event: StoredEvent) -> bytes:
        """As ``AuditEventResponse``; the states are copied, so that numbers keep every digit."""
        members = {
            "id": show(EVENT, event.id),
            "sequence": event.sequence,
            "created_at": event.created_at,
            "category": event.category,
            "action": event.type,
            "object": self._object(event),
            "actor": {"kind": event.actor_kind, "id": _actor_id(event)},
            "request_id": event.request_id,
            "source": event.source,
            "reason": event.reason,
            "before": _fragment(event.before),
            "after": _fragment(event.after),
            "hash": None if event.hash is None else event.hash.hex(),
        }
        return orjson.dumps(members, option=orjson.OPT_UTC_Z)

    def cells(self, event: StoredEvent) -> list[str]:
        """The cells of ``COLUMNS``. One that a spreadsheet would take for a formula begins with an apostrophe."""
        values = (
            *(show(EVENT, event.id), event.sequence, event.created_at.isoformat(), event.category, event.type),
            *(self._object(event), event.actor_kind, _actor_id(event), event.request_id, event.source),
            *(event.reason, event.before, event.after, None if event.hash is None else event.hash.hex()),
        )
        return ["" if value is None else _cell(str(value)) for value in values]

    def _object(self, event: StoredEvent) -> str:
        kind = event.type.partition(".")[0]
        prefix = self._prefixes.get(kind) if event.category == Category.DATA else _OBJECTS.get(kind)
        return str(event.object_id) if prefix is None else show(prefix, event.object_id)


def _actor_id(event: StoredEvent) -> str | None:
    if event.actor_id is None:
        return None
    prefix = _ACTORS.get(event.actor_kind)
    return str(event.actor_id) if prefix is None else show(prefix, event.actor_id)


def _fragment(text: str | None) -> orjson.Fragment | None:
    return None if text is None else orjson.Fragment(text)


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def any_id(text: str) -> UUID | None:
    """The UUID of a typed id of any type, or of a plain UUID; None for anything else."""
    prefix, _, _ = text.rpartition("_")
    if prefix:
        return read(prefix, text)
    try:
        return UUID(text)
    except ValueError:
        return None
