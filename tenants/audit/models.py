"""The operators' log, and how far each tenant's chain has been written outside the database."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, LargeBinary, func
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel
from tenants.identifiers import TenantId


class AuditCheckpoint(ControlModel):
    """The last checkpoint of a tenant. A mark for the job that writes them: ``verify`` trusts the signed file alone."""

    __tablename__ = "audit_checkpoints"

    tenant_id: Mapped[TenantId] = mapped_column(ForeignKey("tenantry.tenants.id", ondelete="CASCADE"), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)
    written_at: Mapped[datetime] = mapped_column(server_default=func.now())


class OperatorEvent(ControlModel):
    """One change by an operator. A function of the owner inserts and chains it; the control role reads, and no more.

    ``object`` is what the API calls the object: a typed id, or the code of a plan.
    """

    __tablename__ = "operator_events"
    __table_args__ = (Index("ix_operator_events_object", "object", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, unique=True)
    action: Mapped[str]
    object: Mapped[str]
    actor_kind: Mapped[str]
    actor_id: Mapped[UUID | None]
    request_id: Mapped[str | None]
    source: Mapped[str | None]
    reason: Mapped[str | None]
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime]
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class OperatorEventChain(ControlModel):
    """The end of the chain of the operators' log, in the only row, and how far it has been written outside."""

    __tablename__ = "operator_event_chains"
    __table_args__ = (CheckConstraint("id = 1", name="one"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    last_sequence: Mapped[int] = mapped_column(BigInteger)
    last_hash: Mapped[bytes] = mapped_column(LargeBinary)
    signed_sequence: Mapped[int] = mapped_column(BigInteger, server_default="0")
