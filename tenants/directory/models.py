"""Control table ``tenants``."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel, Versioned
from tenants.identifiers import TenantId
from tenants.principal import TenantStatus


class Tenant(Versioned, ControlModel):
    """A customer of the SaaS. Its data is in the schema whose name derives from its id."""

    __tablename__ = "tenants"
    __table_args__ = (
        CheckConstraint("slug ~ '^[a-z][a-z0-9-]{1,38}[a-z0-9]$'", name="slug"),
        CheckConstraint("status IN ('active', 'suspended')", name="status"),
    )

    id: Mapped[TenantId] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    status: Mapped[str] = mapped_column(default=TenantStatus.ACTIVE, server_default=TenantStatus.ACTIVE)
    plan_code: Mapped[str] = mapped_column(ForeignKey("tenantry.plans.code"))
    stripe_customer_id: Mapped[str | None] = mapped_column(unique=True)
    migration_failed_at: Mapped[datetime | None]  # set while its last migration failed: only this tenant gets 503
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
