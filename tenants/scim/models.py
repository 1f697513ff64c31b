"""Control tables ``scim_users``, ``scim_groups`` and ``scim_group_members``."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel, Versioned
from tenants.identifiers import ScimGroupId, TenantId, UserId


class ScimUserRow(Versioned, ControlModel):
    """What the tenant's identity provider says of a member. It never changes the account, which other tenants share."""

    __tablename__ = "scim_users"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "user_id"],
            ["tenantry.memberships.tenant_id", "tenantry.memberships.user_id"],
            ondelete="CASCADE",
        ),
        Index("uq_scim_users_user_name", "tenant_id", text("lower(user_name)"), unique=True),
        Index("ix_scim_users_tenant_id_external_id", "tenant_id", "external_id"),
    )

    tenant_id: Mapped[TenantId] = mapped_column(primary_key=True)
    user_id: Mapped[UserId] = mapped_column(primary_key=True)
    user_name: Mapped[str]
    external_id: Mapped[str | None]
    attributes: Mapped[dict[str, Any]]  # all others that are known, with the names of RFC 7643
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class ScimGroupRow(Versioned, ControlModel):
    """A group of the tenant's identity provider. Its members have ``role``, if an admin has mapped it to one."""

    __tablename__ = "scim_groups"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        Index("uq_scim_groups_display_name", "tenant_id", text("lower(display_name)"), unique=True),
    )

    id: Mapped[ScimGroupId] = mapped_column(primary_key=True)
    tenant_id: Mapped[TenantId] = mapped_column(ForeignKey("tenantry.tenants.id", ondelete="CASCADE"))
    display_name: Mapped[str]
    external_id: Mapped[str | None]
    role: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class ScimGroupMember(ControlModel):
    """A member of a group: a user that was provisioned in the same tenant."""

    __tablename__ = "scim_group_members"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "group_id"], ["tenantry.scim_groups.tenant_id", "tenantry.scim_groups.id"], ondelete="CASCADE"
        ),
        ForeignKeyConstraint(
            ["tenant_id", "user_id"],
            ["tenantry.scim_users.tenant_id", "tenantry.scim_users.user_id"],
            ondelete="CASCADE",
        ),
        Index("ix_scim_group_members_tenant_id_user_id", "tenant_id", "user_id"),
    )

    group_id: Mapped[ScimGroupId] = mapped_column(primary_key=True)
    user_id: Mapped[UserId] = mapped_column(primary_key=True)
    tenant_id: Mapped[TenantId]
