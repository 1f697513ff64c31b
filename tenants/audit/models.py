"""How far each tenant's chain has been written outside the database."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel
from tenants.identifiers import TenantId


class AuditCheckpoint(ControlModel):
    """The last checkpoint of a tenant. A mark for the job that writes them: ``verify`` trusts the signed file alone."""

    __tablename__ = "audit_checkpoints"

    tenant_id: Mapped[TenantId] = mapped_column(ForeignKey("tenantry.tenants.id", ondelete="CASCADE"), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)
    written_at: Mapped[datetime] = mapped_column(server_default=func.now())
