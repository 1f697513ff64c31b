"""Control table ``memberships``."""

from datetime import datetime

from sqlalchemy import ForeignKey, func, text
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel, Versioned
from tenants.identifiers import TenantId, UserId


class Membership(Versioned, ControlModel):
    """The membership of a person in a tenant, with their roles there."""

    __tablename__ = "memberships"

    tenant_id: Mapped[TenantId] = mapped_column(ForeignKey("tenantry.tenants.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UserId] = mapped_column(
        ForeignKey("tenantry.users.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    roles: Mapped[list[str]]  # given by hand; a member has those of ``group_roles`` as well
    group_roles: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))  # from groups of the identity provider
    disabled_at: Mapped[datetime | None]  # in this tenant only; ``users.disabled_at`` is everywhere
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
