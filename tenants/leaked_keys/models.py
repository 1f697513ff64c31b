"""Control table ``leaked_keys``."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel
from tenants.identifiers import ApiKeyId, TenantId


class LeakedKey(ControlModel):
    """A key that was reported while it could be used. Its row is why a repeated report changes nothing."""

    __tablename__ = "leaked_keys"
    __table_args__ = (CheckConstraint("response IN ('revoke', 'grace')", name="response"),)

    api_key_id: Mapped[ApiKeyId] = mapped_column(
        ForeignKey("tenantry.api_keys.id", ondelete="CASCADE"), primary_key=True
    )
    tenant_id: Mapped[TenantId] = mapped_column(ForeignKey("tenantry.tenants.id", ondelete="CASCADE"), index=True)
    source: Mapped[str]  # the kind of place
    url: Mapped[str | None]
    response: Mapped[str]  # what the tenant had chosen
    reported_at: Mapped[datetime] = mapped_column(server_default=func.now())
