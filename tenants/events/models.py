"""A tenant's log of changes, in its own schema, and the end of its chain, in the control schema.

One table serves as audit log and as source of change events: the event of a change is its audit row
(docs/decisions/0034-one-log-chained-behind-the-commits.md).
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, func, text
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import APPEND_ONLY, ControlModel, TenantTable
from tenants.identifiers import TenantId

UNCHAINED = "hash IS NULL OR sequence IS NULL"


class Category(StrEnum):
    """What an event is about. Only changes of data are for the SaaS's own subscribers."""

    DATA = "data"  # a change of an object of a declared resource
    MANAGEMENT = "management"  # a change of members, roles, keys, plan, ...
    ACCESS = "access"  # a sign-in, or a refusal worth knowing


class Event(TenantTable):
    """One change of one object. Append-only: the tenant's role may insert a change of data, and read all.

    ``sequence`` and ``hash`` are null until the event is committed and ``tenantry.number_events`` has numbered and
    chained it. ``before`` and ``after`` are the stored values by column name; null before a creation and after a
    deletion. ``tenants/audit/chain.py`` has the rule of the hash, which covers every other column.
    """

    __tablename__ = "tenantry_events"
    __table_args__ = (
        Index("ix_tenantry_events_unchained", "sequence", "created_at", "id", postgresql_where=text(UNCHAINED)),
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
    category: Mapped[str] = mapped_column(server_default=Category.DATA)
    request_id: Mapped[str | None]
    source: Mapped[str | None]
    reason: Mapped[str | None]
    hash: Mapped[bytes | None] = mapped_column(LargeBinary)


class EventCounter(ControlModel):
    """The last number given to an event of the tenant, and its hash. Only ``tenantry.number_events`` writes it.

    ``last_hash`` is null until the first event is chained.
    """

    __tablename__ = "event_counters"

    tenant_id: Mapped[TenantId] = mapped_column(ForeignKey("tenantry.tenants.id", ondelete="CASCADE"), primary_key=True)
    last_sequence: Mapped[int] = mapped_column(BigInteger, server_default="0")
    last_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
