"""Control table ``subscriptions``."""

from datetime import datetime

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel
from tenants.identifiers import TenantId


class Subscription(ControlModel):
    """A tenant's subscription as last read and applied. Stripe is the source of truth."""

    __tablename__ = "subscriptions"

    stripe_id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[TenantId] = mapped_column(ForeignKey("tenantry.tenants.id", ondelete="CASCADE"), index=True)
    status: Mapped[str]
    stripe_price_id: Mapped[str | None]
    plan_code: Mapped[str | None] = mapped_column(ForeignKey("tenantry.plans.code"))
    current_period_start: Mapped[datetime | None]
    current_period_end: Mapped[datetime | None]
    cancel_at_period_end: Mapped[bool] = mapped_column(server_default="false")
    read_at: Mapped[datetime] = mapped_column(server_default=func.now())  # when it was last read from Stripe
