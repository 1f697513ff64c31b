"""Control table ``stripe_events``."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Integer, LargeBinary, func
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel, Versioned


class StripeEvent(Versioned, ControlModel):
    """An event as received, stored under Stripe's id, so that a duplicate is the same row."""

    __tablename__ = "stripe_events"
    __table_args__ = (CheckConstraint("status IN ('received', 'applied', 'ignored', 'failed')", name="status"),)

    id: Mapped[str] = mapped_column(primary_key=True)  # evt_…
    type: Mapped[str]
    account: Mapped[str | None]
    livemode: Mapped[bool]
    created: Mapped[datetime]  # by Stripe's clock
    payload: Mapped[bytes] = mapped_column(LargeBinary)  # the signed raw body
    received_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    status: Mapped[str] = mapped_column(server_default="received")
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    last_error: Mapped[str | None]
    applied_at: Mapped[datetime | None]
