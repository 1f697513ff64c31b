"""Control tables ``usage_minutes`` and ``usage_batches``."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, SmallInteger, func
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel
from tenants.identifiers import TenantId


class UsageMinute(ControlModel):
    """Requests of one caller to one route with one status class, within one minute.

    No foreign key: a row of a tenant that was just deleted must not fail the batch.
    """

    __tablename__ = "usage_minutes"
    __table_args__ = (
        CheckConstraint("status_class BETWEEN 1 AND 5", name="status_class"),
        Index(None, "tenant_id", "principal_id", "minute"),
    )

    tenant_id: Mapped[TenantId] = mapped_column(primary_key=True)
    minute: Mapped[datetime] = mapped_column(primary_key=True)
    principal_id: Mapped[UUID] = mapped_column(primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    status_class: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    kind: Mapped[str]  # a PrincipalKind
    requests: Mapped[int] = mapped_column(BigInteger)
    cost: Mapped[int] = mapped_column(BigInteger)


class UsageBatch(ControlModel):
    """An added batch; inserted in the transaction that added it."""

    __tablename__ = "usage_batches"

    journal_id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    applied_at: Mapped[datetime] = mapped_column(server_default=func.now())
