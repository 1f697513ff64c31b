"""A tenant's change events, in its own schema, and the counter of their numbers, in the control schema."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import APPEND_ONLY, ControlModel, TenantTable
from tenants.identifiers import TenantId


class Event(TenantTable):
    """One change of one object. Append-only: the tenant's role may insert it, without a number, and read it.

    ``sequence`` is null until the event is committed and ``tenantry.number_events`` has numbered it. ``before`` and
    ``after`` are the stored values by column name; null before a creation and after a deletion.
    """

    __tablename__ = "tenantry_events"
    __table_args__ = (
        Index("ix_tenantry_events_unnumbered", "created_at", "id", postgresql_where=text("sequence IS NULL")),
        Index("uq_tenantry_events_sequence", "sequence", unique=True, postgresql_where=text("sequence IS NOT NULL")),
        {"info": {APPEND_ONLY: True}},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int | None] = mapped_column(BigInteger)
    type: Mapped[str]
    object_id: Mapped[UUID]
    actor_kind: Mapped[str]
    actor_id: Mapped[UUID | None]
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    # Not now(), when the transaction began: of two changes of one row, the second may have begun before the first.
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class EventCounter(ControlModel):
    """The last number given to an event of the tenant. Only ``tenantry.number_events`` writes it."""

    __tablename__ = "event_counters"

    tenant_id: Mapped[TenantId] = mapped_column(ForeignKey("tenantry.tenants.id", ondelete="CASCADE"), primary_key=True)
    last_sequence: Mapped[int] = mapped_column(BigInteger, server_default="0")
