"""Control table ``roles``."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel, Versioned
from tenants.identifiers import RoleId, TenantId


class Role(Versioned, ControlModel):
    """A tenant's own role. Memberships and keys refer to it by its name, which never changes."""

    __tablename__ = "roles"
    __table_args__ = (
        CheckConstraint("name ~ '^[A-Za-z][A-Za-z0-9_-]{0,49}$'", name="name"),
        Index("uq_roles_name", "tenant_id", text("lower(name)"), unique=True),
    )

    id: Mapped[RoleId] = mapped_column(primary_key=True)
    tenant_id: Mapped[TenantId] = mapped_column(ForeignKey("tenantry.tenants.id", ondelete="CASCADE"))
    name: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    permissions: Mapped[list[str]]
    inherits: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))  # names of roles, own or built in
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
