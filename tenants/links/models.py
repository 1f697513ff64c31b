"""Control table ``one_time_links``."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, func, text
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel
from tenants.identifiers import TenantId, UserId


class OneTimeLink(ControlModel):
    """A link that was sent and not used yet: using it deletes the row. Only a keyed hash of its secret is stored."""

    __tablename__ = "one_time_links"
    __table_args__ = (
        # One link for each purpose, address and tenant: a new one takes the row of the one before.
        Index(
            "uq_one_time_links_address",
            "purpose",
            text("lower(email)"),
            "tenant_id",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
        Index("ix_one_time_links_expires_at", "expires_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    purpose: Mapped[str]
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    email: Mapped[str]  # the address that it was sent to
    user_id: Mapped[UserId | None] = mapped_column(ForeignKey("tenantry.users.id", ondelete="CASCADE"), index=True)
    tenant_id: Mapped[TenantId | None] = mapped_column(
        ForeignKey("tenantry.tenants.id", ondelete="CASCADE"), index=True
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
