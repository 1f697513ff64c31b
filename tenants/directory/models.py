"""Control tables of the tenants: who they are, and at which revisions their schemas are."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from sqlalchemy import CheckConstraint, ForeignKey, Integer, Text, func, select, text
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel, Versioned
from tenants.identifiers import TenantId, UserId
from tenants.principal import TenantStatus


class MemberKeysChoice(StrEnum):
    """What happens to the keys of members who lose rights, are disabled or leave."""

    NARROW = "narrow"  # they hold what their owner holds, and end when the owner leaves
    HAND_OVER = "hand_over"  # they pass to another member first


MigrationState = Literal["applied", "failed"]


class Tenant(Versioned, ControlModel):
    """A customer of the SaaS. Its data is in the schema whose name derives from its id."""

    __tablename__ = "tenants"
    __table_args__ = (
        CheckConstraint("slug ~ '^[a-z][a-z0-9-]{1,38}[a-z0-9]$'", name="slug"),
        CheckConstraint("status IN ('active', 'suspended')", name="status"),
        CheckConstraint("member_keys IN ('narrow', 'hand_over')", name="member_keys"),
    )

    id: Mapped[TenantId] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    status: Mapped[str] = mapped_column(default=TenantStatus.ACTIVE, server_default=TenantStatus.ACTIVE)
    plan_code: Mapped[str] = mapped_column(ForeignKey("tenantry.plans.code"))
    scim_default_role: Mapped[str] = mapped_column(server_default="member")  # of users that SCIM creates
    stripe_customer_id: Mapped[str | None] = mapped_column(unique=True)
    suspended_at: Mapped[datetime | None]
    suspension_reason: Mapped[str | None]  # for operators only
    allowed_origins: Mapped[list[str]] = mapped_column(default=list, server_default=text("'{}'"))
    require_mfa: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    member_keys: Mapped[str] = mapped_column(default=MemberKeysChoice.NARROW, server_default=MemberKeysChoice.NARROW)
    member_keys_to: Mapped[UserId | None] = mapped_column(ForeignKey("tenantry.users.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class TenantMigration(ControlModel):
    """The migration state of a tenant's schema, written in the transaction that changes the schema.

    ``revisions`` are the current ones, and decide whether a release can serve the tenant. ``state`` is ``failed`` from
    a failed attempt until the next success and decides nothing; ``error`` then has the reason, for operators only.
    """

    __tablename__ = "tenant_migrations"
    __table_args__ = (CheckConstraint("state IN ('applied', 'failed')", name="state"),)

    tenant_id: Mapped[TenantId] = mapped_column(ForeignKey("tenantry.tenants.id", ondelete="CASCADE"), primary_key=True)
    revisions: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    state: Mapped[MigrationState] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")  # failed ones since the last success
    error: Mapped[str | None]
    changed_at: Mapped[datetime] = mapped_column(server_default=func.now())


# Of the tenant in the query's row. None where it has no schema.
SCHEMA_REVISIONS = select(TenantMigration.revisions).where(TenantMigration.tenant_id == Tenant.id).scalar_subquery()
